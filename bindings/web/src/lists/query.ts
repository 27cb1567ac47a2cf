/** Which rooms a list shows, and in which order. */

import type { RoomKind } from "../contract.js";

/** Which rooms a list shows. By default all that the person is in. */
export interface RoomFilter {
  /** Only rooms with unread items. */
  readonly unread?: boolean | undefined;
  /** Only rooms with unread messages that mention the person. */
  readonly mentions?: boolean | undefined;
  /** Only rooms of these kinds; empty or absent: of all. */
  readonly kinds?: readonly RoomKind[] | undefined;
  /**
   * Only rooms whose shown name has this in it, in capitals or not; an initial consonant stands for any syllable that begins
   * with it, as ㅎㄱㄷ for 홍길동. Empty or absent: all.
   */
  readonly text?: string | undefined;
}

/** In which order a list shows rooms. */
export type RoomSort =
  /** The most recently active first. */
  | "Recent"
  /** By the shown name. */
  | "Name"
  /** Those with unread items first, each part by the most recently active. */
  | "UnreadFirst";

/** Which part of which rooms a list shows. */
export interface RoomQuery {
  /** Which rooms. */
  readonly filter?: RoomFilter | undefined;
  /** In which order; absent: `Recent`. */
  readonly sort?: RoomSort | undefined;
  /** Which places of that are shown, the end not among them; absent: all. */
  readonly window?: { readonly start: number; readonly end: number } | undefined;
}
