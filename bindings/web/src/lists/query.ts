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

/** What decides on a room's place. */
export interface Facts {
  readonly id: string;
  readonly activeMs: number;
  readonly unread: number;
  readonly mentions: number;
  readonly kind: RoomKind;
  readonly name: string;
}

/** The rooms that are wanted, in order. */
export function arrange<F extends Facts>({ filter = {}, sort = "Recent" }: RoomQuery, rooms: readonly F[]): F[] {
  const text = [...(filter.text ?? "").trim().toLowerCase()];
  return rooms.filter((room) => wants(filter, room, text)).sort((one, other) => compare(sort, one, other));
}

/** The places that are shown of so many. */
export function places({ window }: RoomQuery, total: number): { start: number; end: number } {
  if (!window) return { start: 0, end: total };
  const start = Math.min(Math.max(0, window.start), total);
  return { start, end: Math.min(Math.max(start, window.end), total) };
}

function wants(filter: RoomFilter, room: Facts, text: readonly string[]): boolean {
  if (filter.unread && room.unread === 0) return false;
  if (filter.mentions && room.mentions === 0) return false;
  if (filter.kinds && filter.kinds.length > 0 && !filter.kinds.includes(room.kind)) return false;
  return text.length === 0 || nameHolds([...room.name.toLowerCase()], text);
}

function compare(sort: RoomSort, one: Facts, other: Facts): number {
  const byId = one.id < other.id ? -1 : one.id > other.id ? 1 : 0;
  const recent = other.activeMs - one.activeMs || byId;
  if (sort === "Name") {
    const [a, b] = [one.name.toLowerCase(), other.name.toLowerCase()];
    return a < b ? -1 : a > b ? 1 : byId;
  }
  if (sort === "UnreadFirst") return Number(other.unread > 0) - Number(one.unread > 0) || recent;
  return recent;
}

/** Whether a name has a text in it; both in small letters. */
export function nameHolds(name: readonly string[], text: readonly string[]): boolean {
  for (let at = 0; at + text.length <= name.length; at++) {
    const fits = text.every((wanted, index) => {
      const character = name[at + index] as string;
      return character === wanted || initialOf(character) === wanted;
    });
    if (fits) return true;
  }
  return false;
}

/** The consonants that a syllable may begin with, in the order of Unicode. */
const INITIALS = [..."ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"];
/** Syllables that begin with the same consonant: 21 vowels, each with 27 final consonants or none. */
const SYLLABLES = 21 * 28;

/** The consonant that a Korean syllable begins with. */
function initialOf(character: string): string | undefined {
  if (character < "가" || character > "힣") return undefined;
  return INITIALS[Math.floor(((character.codePointAt(0) ?? 0) - 0xac00) / SYLLABLES)];
}
