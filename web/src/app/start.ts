/** The way from an address to a page: who is signed in, and the client for them. */

import { Client } from "@madang/client";
import { Session, SignInRefused } from "../features/signin/session.js";
import { preferences } from "../features/settings/preferences.js";
import type { Host } from "./client.js";
import { placeOf } from "./route.js";
import { loadConfiguration, configurationFrom, type Configuration } from "./configuration.js";

/** Where the start leads to. */
export type Start =
  /** Somebody must sign in, and comes back to `path`. Without a session nothing could be reached yet. */
  | {
      readonly kind: "SignIn";
      readonly session: Session | undefined;
      readonly path: string;
      readonly refused: SignInRefused["why"] | undefined;
    }
  | { readonly kind: "Ready"; readonly host: Host };

/** The path where the issuer sends the browser back to. */
const CALLBACK = "/signin/callback";

/** Remembered for a reload without a network, which shows what is kept. */
const KEPT = "madang.configuration";

async function configuration(): Promise<Configuration> {
  try {
    const read = await loadConfiguration();
    sessionStorage.setItem(KEPT, JSON.stringify({ issuer: read.issuer, client_id: read.clientId }));
    return read;
  } catch (error) {
    const kept = sessionStorage.getItem(KEPT);
    if (kept) return configurationFrom(JSON.parse(kept));
    throw error;
  }
}

/** Starts the page at the address that it has. */
export async function start(): Promise<Start> {
  let session: Session | undefined;
  let path = location.pathname;
  try {
    session = new Session(await configuration());
    if (path === CALLBACK) {
      const address = location.href;
      // Before anything can fail: neither a reload nor a link must send the code again.
      history.replaceState(null, "", "/");
      path = "/";
      path = await session.complete(address);
      history.replaceState(null, "", path);
    }
    const account = await session.restore();
    if (!account) return { kind: "SignIn", session, path, refused: undefined };
    const { language } = preferences();
    const client = await Client.open({
      server: location.origin,
      tokens: session.token,
      account,
      language: language === "system" ? undefined : language,
    });
    // Before the client says what it has: the rows of this room come first then.
    const place = placeOf(path);
    if (place.kind === "Room") client.setFocus([place.roomId]);
    return { kind: "Ready", host: { client, session } };
  } catch (error) {
    const refused = error instanceof SignInRefused ? error.why : "Unreachable";
    return { kind: "SignIn", session, path, refused };
  }
}
