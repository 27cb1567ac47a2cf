/** What a host tells the client before it begins. */

import type { MemoryStore } from "./store/memory.js";

/**
 * Where access tokens come from. The host keeps them, never where scripts of other pages can read; the client asks before
 * each call. To be answered with a token that is good now, within 20 s. `fresh`: the last one was refused or is about to end.
 * A `ClientError` of the kind `Unauthenticated` says that the person must sign in again; after any other failure the client
 * asks again by and by.
 */
export type TokenProvider = (fresh: boolean) => Promise<string>;

/** How long to wait between attempts: a random time up to `baseMs`, doubled with each failure, up to `capMs`. */
export interface Backoff {
  /** Longest first wait. */
  readonly baseMs: number;
  /** Longest wait. */
  readonly capMs: number;
}

/** What a host tells the client before it begins. */
export interface ClientConfig {
  /** `http://host:port` or `https://host`; where the page comes from: `location.origin`. */
  readonly server: string;
  /** Where access tokens come from. */
  readonly tokens: TokenProvider;
  /**
   * Who is signed in, by any name that stays the same: the issuer's `sub`. Each person has a store of their own, so this
   * lets a page show what is kept before there is a token, as without a network. Absent: the `sub` of the first token.
   */
  readonly account?: string | undefined;
  /**
   * Where the store lies. Absent: in IndexedDB, shared by all tabs of the person; where that is denied, absent or full,
   * nothing is kept, and `Client.storage` says so.
   */
  readonly store?: MemoryStore | undefined;
  /** Language of texts that the server makes, as in `ko`. Absent: the browser's. */
  readonly language?: string | undefined;
  /** Shown in the list of devices. Absent: `web`. */
  readonly platform?: string | undefined;
  /** Version of the app, shown in the list of devices. */
  readonly appVersion?: string | undefined;
  /** Id of the installation; else made once and kept in the store. */
  readonly deviceId?: string | undefined;
  /** Waits between attempts. Absent: 500 ms, up to a minute. */
  readonly backoff?: Backoff | undefined;
}
