/**
 * Who is signed in, in this tab: authorization code with PKCE, tokens in `sessionStorage`, renewal in one place.
 *
 * Always true: tokens are never in `localStorage`; of all tabs that share a session one at a time renews it, and the others take
 * what it got, because a refresh token is good for one use.
 */

import { ClientError } from "@madang/client";
import { ErrorResponse, User, UserManager, WebStorageStateStore } from "oidc-client-ts";
import type { Configuration } from "../../app/configuration.js";

/** A token that ends sooner is renewed first: longer than a call may take. */
const SPARE_SECONDS = 30;

/** Before the end of a token that nobody has asked for: keeps the session at the issuer alive. */
const IDLE_RENEWAL_SECONDS = 60;

/** How long a new tab waits for the session of another one: a tab that sleeps answers late, and then one signs in. */
const NEIGHBOUR_MS = 250;

/** The path where the issuer sends the browser back to. */
export const CALLBACK = "/signin/callback";

/** What tabs tell each other. */
type TabMessage =
  | { readonly kind: "Ask" }
  | { readonly kind: "Have"; readonly user: string }
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
  readonly #users: UserManager;
  readonly #tabs = new BroadcastChannel("madang-session");
  #renewing: Promise<User> | undefined;
  #neighbour: ((user: User) => void) | undefined;

  constructor(configuration: Configuration) {
    const store = new WebStorageStateStore({ store: sessionStorage, prefix: "madang." });
    this.#users = new UserManager({
      authority: configuration.issuer,
      client_id: configuration.clientId,
      redirect_uri: location.origin + CALLBACK,
      post_logout_redirect_uri: `${location.origin}/`,
      scope: "openid profile email",
      userStore: store,
      stateStore: store,
      automaticSilentRenew: false,
      accessTokenExpiringNotificationTimeInSeconds: IDLE_RENEWAL_SECONDS,
      loadUserInfo: false,
      requestTimeoutInSeconds: 15,
    });
    this.#users.events.addAccessTokenExpiring(() => void this.token(true).catch(() => undefined));
    this.#tabs.onmessage = (event: MessageEvent<TabMessage>) => void this.#hear(event.data);
  }

  /** Who is signed in: as this tab knows, or another one. `undefined`: nobody. */
  async restore(): Promise<User | undefined> {
    const own = await this.#users.getUser();
    if (own) return own;
    const found = await new Promise<User | undefined>((resolve) => {
      this.#neighbour = resolve;
      this.#tell({ kind: "Ask" });
      setTimeout(() => resolve(undefined), NEIGHBOUR_MS);
    });
    this.#neighbour = undefined;
    if (found) await this.#users.storeUser(found);
    return found;
  }

  /** Sends the browser to the issuer. It comes back to `path`. */
  async signIn(path: string): Promise<void> {
    await this.#users.signinRedirect({ state: path });
  }

  /** Takes what the issuer sent the browser back with; answers with the path to go on at. Rejects with `SignInRefused`. */
  async complete(address: string): Promise<string> {
    try {
      const user = await this.#users.signinRedirectCallback(address);
      this.#tell({ kind: "Have", user: user.toStorageString() });
      return safePath(user.state);
    } catch (error) {
      if (error instanceof ErrorResponse) throw new SignInRefused("Denied", error);
      throw new SignInRefused(isNetwork(error) ? "Unreachable" : "Forged", error);
    }
  }

  /** Ends the session at the issuer; the browser comes back signed out. */
  async signOut(): Promise<void> {
    const user = await this.#users.getUser();
    if (user) this.#tell({ kind: "Gone", subject: user.profile.sub });
    try {
      await this.#users.signoutRedirect(user?.id_token ? { id_token_hint: user.id_token } : {});
    } catch {
      // Without a way to the issuer the session there ends by its own age; here it ends now.
      await this.#users.removeUser();
      location.assign("/");
    }
  }

  /** A token that is good now; `fresh`: another than the last one. All who wait share one renewal. */
  readonly token = async (fresh: boolean): Promise<string> => {
    const user = await this.#users.getUser();
    if (!user) throw new ClientError("Unauthenticated", "nobody is signed in in this tab");
    if (!fresh && (user.expires_in ?? 0) > SPARE_SECONDS) return user.access_token;
    this.#renewing ??= this.#renew(user).finally(() => (this.#renewing = undefined));
    return (await this.#renewing).access_token;
  };

  async #renew(old: User): Promise<User> {
    return navigator.locks.request(`madang-session-${old.profile.sub}`, async () => {
      const now = await this.#users.getUser();
      // Another tab was first, and told.
      if (now && now.access_token !== old.access_token && (now.expires_in ?? 0) > SPARE_SECONDS) return now;
      const user = await this.#users.signinSilent().catch((error: unknown) => {
        throw renewalError(error);
      });
      if (!user) throw new ClientError("Unauthenticated", "the issuer gives no token");
      this.#tell({ kind: "Have", user: user.toStorageString() });
      return user;
    });
  }

  async #hear(message: TabMessage): Promise<void> {
    const own = await this.#users.getUser();
    switch (message.kind) {
      case "Ask":
        if (own) this.#tell({ kind: "Have", user: own.toStorageString() });
        break;
      case "Have": {
        const user = User.fromStorageString(message.user);
        if (this.#neighbour) this.#neighbour(user);
        else if (own && isNewer(own, user)) await this.#users.storeUser(user);
        break;
      }
      case "Gone":
        if (own?.profile.sub === message.subject) await this.#users.removeUser();
        break;
    }
  }

  #tell(message: TabMessage): void {
    this.#tabs.postMessage(message);
  }
}

/** Whether it is the same session of the same person, later. */
export function isNewer(own: User, other: User): boolean {
  const same = own.profile.sub === other.profile.sub && own.session_state === other.session_state;
  return same && (other.expires_at ?? 0) > (own.expires_at ?? 0);
}

/** A path of this page, whatever was kept: never another host. */
export function safePath(kept: unknown): string {
  if (typeof kept !== "string" || !kept.startsWith("/")) return "/";
  const target = new URL(kept, location.origin);
  return target.origin === location.origin && !target.pathname.startsWith("/signin") ? target.pathname : "/";
}

function isNetwork(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof Error && error.name === "ErrorTimeout");
}

/** The issuer's no ends the sign-in; without a way to it one asks again later. */
function renewalError(error: unknown): ClientError {
  if (error instanceof ErrorResponse) return new ClientError("Unauthenticated", error.message);
  return new ClientError("Offline", "the issuer cannot be reached", { local: "Unreachable" });
}
