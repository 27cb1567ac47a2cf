/**
 * Who is signed in, in this tab: tokens in `sessionStorage`, renewed in one place.
 *
 * Always true: tokens are never in `localStorage`; of all tabs that share a session one at a time renews it, and the others take
 * what it got, because a refresh token is good for one use.
 */

import { ClientError } from "@madang/client";
import type { User, UserManager } from "oidc-client-ts";
import type { Configuration } from "../../app/configuration.js";

/** A token that ends sooner is renewed first: longer than a call may take; of one that is short-lived a quarter. */
const SPARE_MS = 30_000;

/** How long the next tab waits after a renewal: what one tab tells takes a moment to reach the others. */
const TOLD_MS = 100;

/** Before the end of a token that nobody has asked for: keeps the session at the issuer alive. */
const IDLE_RENEWAL_MS = 60_000;

/** How long a new tab waits for the session of another one: a tab that sleeps answers late, and then one signs in. */
const NEIGHBOUR_MS = 250;

const KEPT = "madang.session";

/** What is kept of a sign-in. */
export interface Kept {
  /** Who: the issuer's `sub`. */
  readonly subject: string;
  /** Which session at the issuer. */
  readonly sessionState: string | null;
  readonly accessToken: string;
  /** Milliseconds since 1970 by this computer's clock. */
  readonly expiresAt: number;
  /** How long the token was good when it came, in milliseconds. */
  readonly lifetime: number;
  /** All of it, as the protocol wants it back. */
  readonly user: string;
}

/** What tabs tell each other. */
type TabMessage =
  | { readonly kind: "Ask" }
  | { readonly kind: "Have"; readonly kept: Kept }
  | { readonly kind: "Gone"; readonly subject: string };

/** A sign-in that came back and is not taken. */
export class SignInRefused extends Error {
  override readonly name = "SignInRefused";
  /** `Forged`: this tab did not start it; `Denied`: the issuer says no; `Unreachable`: the issuer does not answer. */
  readonly why: "Forged" | "Denied" | "Unreachable";

  constructor(why: "Forged" | "Denied" | "Unreachable", cause: unknown) {
    super(why, { cause });
    this.why = why;
  }
}

/** The session of this tab. */
export class Session {
  readonly #configuration: Configuration;
  readonly #tabs = new BroadcastChannel("madang-session");
  #kept: Kept | undefined = read();
  #renewing: Promise<Kept> | undefined;
  #neighbour: ((kept: Kept) => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #made: UserManager | undefined;

  constructor(configuration: Configuration) {
    this.#configuration = configuration;
    this.#tabs.onmessage = (event: MessageEvent<TabMessage>) => this.#hear(event.data);
    this.#renewInTime();
  }

  /** Who is signed in, by the issuer's `sub`: as this tab knows, or another one. `undefined`: nobody. */
  async restore(): Promise<string | undefined> {
    if (this.#kept) return this.#kept.subject;
    const found = await new Promise<Kept | undefined>((resolve) => {
      this.#neighbour = resolve;
      this.#tell({ kind: "Ask" });
      setTimeout(() => resolve(undefined), NEIGHBOUR_MS);
    });
    this.#neighbour = undefined;
    if (found) this.#keep(found);
    return found?.subject;
  }

  /** Sends the browser to the issuer. It comes back to `path`. */
  async signIn(path: string): Promise<void> {
    const { users } = await this.#protocol();
    await users.signinRedirect({ state: path });
  }

  /** Takes what the issuer sent the browser back with; answers with the path to go on at. Rejects with `SignInRefused`. */
  async complete(address: string): Promise<string> {
    const { users, ErrorResponse } = await this.#protocol();
    try {
      const user = await users.signinRedirectCallback(address);
      this.#keep(keptOf(user));
      return safePath(user.state);
    } catch (error) {
      if (error instanceof ErrorResponse) throw new SignInRefused("Denied", error);
      throw new SignInRefused(isNetwork(error) ? "Unreachable" : "Forged", error);
    }
  }

  /** Ends the session at the issuer; the browser comes back signed out. */
  async signOut(): Promise<void> {
    const kept = this.#kept;
    if (kept) this.#tell({ kind: "Gone", subject: kept.subject });
    this.#forget();
    try {
      const { users, User } = await this.#protocol();
      const hint = kept && User.fromStorageString(kept.user).id_token;
      await users.signoutRedirect(hint ? { id_token_hint: hint } : {});
    } catch {
      // Without a way to the issuer the session there ends by its own age; here it has ended.
      location.assign("/");
    }
  }

  /** A token that is good now; `fresh`: another than the last one. All who wait share one renewal. */
  readonly token = async (fresh: boolean): Promise<string> => {
    const kept = this.#kept;
    if (!kept) throw new ClientError("Unauthenticated", "nobody is signed in in this tab");
    if (!fresh && isGood(kept)) return kept.accessToken;
    this.#renewing ??= this.#renew(kept).finally(() => (this.#renewing = undefined));
    return (await this.#renewing).accessToken;
  };

  async #renew(old: Kept): Promise<Kept> {
    return navigator.locks.request(`madang-session-${old.subject}`, async () => {
      const now = this.#kept;
      // Another tab was first, and told.
      if (now && now.accessToken !== old.accessToken && isGood(now)) return now;
      const { users, User, ErrorResponse } = await this.#protocol();
      // Its refresh token is the newest that this tab has heard of: an older one would end the session.
      await users.storeUser(User.fromStorageString((now ?? old).user));
      const user = await users.signinSilent().catch((error: unknown) => {
        // The issuer's no ends the sign-in; without a way to it one asks again later.
        if (error instanceof ErrorResponse) throw new ClientError("Unauthenticated", error.message);
        throw new ClientError("Offline", "the issuer cannot be reached", { local: "Unreachable" });
      });
      if (!user) throw new ClientError("Unauthenticated", "the issuer gives no token");
      const kept = keptOf(user);
      this.#keep(kept);
      this.#tell({ kind: "Have", kept });
      await new Promise((resolve) => setTimeout(resolve, TOLD_MS));
      return kept;
    });
  }

  async #protocol() {
    const { manager, User, ErrorResponse } = await import("./oidc.js");
    this.#made ??= manager(this.#configuration);
    return { users: this.#made, User, ErrorResponse };
  }

  #keep(kept: Kept): void {
    this.#kept = kept;
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
    this.#renewInTime();
  }

  #forget(): void {
    this.#kept = undefined;
    sessionStorage.removeItem(KEPT);
    clearTimeout(this.#timer);
  }

  #renewInTime(): void {
    clearTimeout(this.#timer);
    if (!this.#kept) return;
    const left = this.#kept.expiresAt - Date.now();
    // Of a token that is short-lived half: one that was just got is not renewed at once.
    const wait = Math.max(left - IDLE_RENEWAL_MS, left / 2, 0);
    // What fails here is tried again by the next call. A token that has ended waits for one: nothing runs in circles.
    if (left > 0) this.#timer = setTimeout(() => void this.token(true).catch(() => undefined), wait);
  }

  #hear(message: TabMessage): void {
    switch (message.kind) {
      case "Ask":
        if (this.#kept) this.#tell({ kind: "Have", kept: this.#kept });
        break;
      case "Have":
        if (this.#neighbour) this.#neighbour(message.kept);
        else if (this.#kept && isNewer(this.#kept, message.kept)) this.#keep(message.kept);
        break;
      case "Gone":
        if (this.#kept?.subject === message.subject) this.#forget();
        break;
    }
  }

  #tell(message: TabMessage): void {
    this.#tabs.postMessage(message);
  }
}

function read(): Kept | undefined {
  try {
    return (JSON.parse(sessionStorage.getItem(KEPT) ?? "null") as Kept | null) ?? undefined;
  } catch {
    return undefined;
  }
}

function keptOf(user: User): Kept {
  return {
    subject: user.profile.sub,
    sessionState: user.session_state,
    accessToken: user.access_token,
    expiresAt: (user.expires_at ?? 0) * 1000,
    lifetime: (user.expires_in ?? 0) * 1000,
    user: user.toStorageString(),
  };
}

function isGood(kept: Kept): boolean {
  return kept.expiresAt - Date.now() > Math.min(SPARE_MS, kept.lifetime / 4);
}

/** Whether it is the same session of the same person, later. */
export function isNewer(own: Kept, other: Kept): boolean {
  return own.subject === other.subject && own.sessionState === other.sessionState && other.expiresAt > own.expiresAt;
}

/** A path of this page, whatever was kept: never another host. */
export function safePath(kept: unknown, origin = location.origin): string {
  if (typeof kept !== "string" || !kept.startsWith("/")) return "/";
  const target = new URL(kept, origin);
  return target.origin === origin && !target.pathname.startsWith("/signin") ? target.pathname : "/";
}

function isNetwork(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof Error && error.name === "ErrorTimeout");
}
