/**
 * Who is signed in, in this tab: tokens in `sessionStorage`, renewed in one place.
 *
 * Always true: tokens are never in `localStorage`; of all tabs that share a session one at a time renews it, by the newest tokens
 * that any tab has, because a refresh token is good for one use; a tab stays that of the person who signed in in it.
 */

import { ClientError } from "@madang/client";
import type { User, UserManager } from "oidc-client-ts";
import type { Configuration } from "../../app/configuration.js";

/** A token that ends sooner is renewed first: longer than a call may take; of one that is short-lived a quarter. */
const SPARE_MS = 30_000;

/** How long a tab that has newer tokens may take to hand them on, within the patience of whoever asks for a token. */
const HANDED_ON_MS = 10_000;

/** How often it is looked whether they have come. */
const LOOK_MS = 25;

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
  /** When it came, by this computer's clock: the later one is the newer of two, even if the clock was set back. */
  readonly since: number;
  /** All of it, as the protocol wants it back. */
  readonly user: string;
  /** Who has signed in in another tab since: this one hands its session on to no new tab any more. */
  readonly overtaken?: Person | undefined;
}

/** Somebody, as the issuer names them. */
export interface Person {
  readonly subject: string;
  readonly name: string;
}

/** What tabs tell each other. */
type TabMessage =
  /** `subject`: whose session is asked for; absent: that of whoever signed in last. */
  | { readonly kind: "Ask"; readonly subject?: string }
  | { readonly kind: "Have"; readonly kept: Kept }
  | { readonly kind: "SignedIn"; readonly person: Person }
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
  /** Lets go of the lock that shows what this tab has. */
  #shown: AbortController | undefined;
  readonly #listeners = new Set<() => void>();

  constructor(configuration: Configuration) {
    this.#configuration = configuration;
    this.#tabs.onmessage = (event: MessageEvent<TabMessage>) => this.#hear(event.data);
    if (this.#kept) void this.#keep(this.#kept);
    // A page that the browser keeps to come back to cannot hand anything on.
    addEventListener("pagehide", () => this.#shown?.abort());
    addEventListener("pageshow", (event) => event.persisted && this.#kept && void this.#keep(this.#kept));
  }

  /** Who has signed in in another tab since somebody else did in this one. */
  get overtaken(): Person | undefined {
    return this.#kept?.overtaken;
  }

  /** Calls back when that may have changed, until the answer is called. */
  readonly subscribe = (told: () => void): (() => void) => {
    this.#listeners.add(told);
    return () => this.#listeners.delete(told);
  };

  /** Who is signed in, by the issuer's `sub`: as this tab knows, or another one. `undefined`: nobody. */
  async restore(): Promise<string | undefined> {
    if (this.#kept) return this.#kept.subject;
    const found = await new Promise<Kept | undefined>((resolve) => {
      this.#neighbour = resolve;
      this.#tell({ kind: "Ask" });
      setTimeout(() => resolve(undefined), NEIGHBOUR_MS);
    });
    this.#neighbour = undefined;
    if (found) void this.#keep(found);
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
      void this.#keep(keptOf(user, undefined));
      this.#tell({ kind: "SignedIn", person: { subject: user.profile.sub, name: nameOf(user) } });
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
      const now = await this.#newest();
      // Another tab was first.
      if (now.accessToken !== old.accessToken && isGood(now)) return now;
      const { users, User, ErrorResponse } = await this.#protocol();
      await users.storeUser(User.fromStorageString(now.user));
      const user = await users.signinSilent().catch((error: unknown) => {
        // The issuer's no ends the sign-in; without a way to it one asks again later.
        if (error instanceof ErrorResponse) throw new ClientError("Unauthenticated", error.message);
        throw new ClientError("Offline", "the issuer cannot be reached", { local: "Unreachable" });
      });
      if (!user) throw new ClientError("Unauthenticated", "the issuer gives no token");
      const kept = keptOf(user, this.#kept);
      this.#tell({ kind: "Have", kept });
      // Before the next tab has its turn, it can see that this one has something newer.
      await this.#keep(kept);
      return kept;
    });
  }

  /**
   * The newest tokens that any tab has of this session. What one tab tells takes its time to reach the others, but their locks
   * show at once who has which: as long as there is a tab with newer ones, they are asked for and waited for.
   */
  async #newest(): Promise<Kept> {
    const end = Date.now() + HANDED_ON_MS;
    for (let asked = false; ; ) {
      const kept = this.#kept;
      if (!kept) throw new ClientError("Unauthenticated", "nobody is signed in in this tab");
      const { held = [] } = await navigator.locks.query();
      if (!held.some(({ name = "" }) => showsNewer(name, kept))) return kept;
      if (!asked) this.#tell({ kind: "Ask", subject: kept.subject });
      asked = true;
      if (Date.now() > end) throw new ClientError("Offline", "another tab has newer tokens and does not answer", { local: "TokenTimeout" });
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async #protocol() {
    const { manager, User, ErrorResponse } = await import("./oidc.js");
    this.#made ??= manager(this.#configuration);
    return { users: this.#made, User, ErrorResponse };
  }

  /** Keeps a session; what is awaited is that the other tabs can see how new it is. */
  async #keep(kept: Kept): Promise<void> {
    this.#kept = kept;
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
    this.#renewInTime();
    for (const told of this.#listeners) told();
    const before = this.#shown;
    const shown = (this.#shown = new AbortController());
    await new Promise<void>((resolve) => {
      const held = () => {
        resolve();
        before?.abort();
        return shown.signal.aborted ? undefined : new Promise((end) => shown.signal.addEventListener("abort", end));
      };
      void navigator.locks.request(lockOf(kept) + kept.since, { mode: "shared" }, held);
    });
  }

  #forget(): void {
    this.#kept = undefined;
    sessionStorage.removeItem(KEPT);
    clearTimeout(this.#timer);
    this.#shown?.abort();
    for (const told of this.#listeners) told();
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
    const kept = this.#kept;
    switch (message.kind) {
      case "Ask":
        if (kept && (message.subject ? message.subject === kept.subject : !kept.overtaken)) this.#tell({ kind: "Have", kept });
        break;
      case "Have":
        if (this.#neighbour) this.#neighbour(message.kept);
        else if (kept && isNewer(kept, message.kept)) void this.#keep({ ...message.kept, overtaken: kept.overtaken });
        break;
      case "SignedIn":
        if (kept) this.#overtake(kept, kept.subject === message.person.subject ? undefined : message.person);
        break;
      case "Gone":
        if (kept?.subject === message.subject) this.#forget();
        else if (kept?.overtaken?.subject === message.subject) this.#overtake(kept, undefined);
        break;
    }
  }

  #overtake(kept: Kept, overtaken: Person | undefined): void {
    void this.#keep({ ...kept, overtaken });
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

function keptOf(user: User, before: Kept | undefined): Kept {
  return {
    subject: user.profile.sub,
    sessionState: user.session_state,
    accessToken: user.access_token,
    expiresAt: (user.expires_at ?? 0) * 1000,
    lifetime: (user.expires_in ?? 0) * 1000,
    since: Math.max(Date.now(), (before?.since ?? 0) + 1),
    user: user.toStorageString(),
    overtaken: before?.overtaken,
  };
}

function nameOf({ profile }: User): string {
  return profile.name ?? profile.preferred_username ?? "";
}

/** How the locks begin by which tabs show what they have of a session; the time when it came follows. */
function lockOf({ subject, sessionState }: Kept): string {
  return `madang-tokens ${subject} ${sessionState} `;
}

/** Whether a lock shows that its tab has newer tokens of the same session. */
export function showsNewer(lock: string, own: Kept): boolean {
  const shown = lockOf(own);
  return lock.startsWith(shown) && Number(lock.slice(shown.length)) > own.since;
}

function isGood(kept: Kept): boolean {
  return kept.expiresAt - Date.now() > Math.min(SPARE_MS, kept.lifetime / 4);
}

/** Whether it is the same session of the same person, later. */
export function isNewer(own: Kept, other: Kept): boolean {
  return own.subject === other.subject && own.sessionState === other.sessionState && other.since > own.since;
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
