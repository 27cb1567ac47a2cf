/**
 * Older pieces of a room that are held beside its range, because somebody jumped there.
 *
 * Always true: an island lies below the range and touches neither it nor another; every row of it that the person may see is
 * in the store as of the room's `rev`. That needs no care of its own: deltas and events bring every changed row whatever its
 * position, rows merge by revision, and what skips changes (a reset) ends all islands.
 */

/** Islands of a room; of more the lowest is forgotten. More jumps into far places than a person makes between two resets. */
const ISLANDS = 64;

/** A piece of a room, without a hole. */
export interface Island {
  /** Its first item. */
  readonly low: bigint;
  /** Its last item. */
  readonly high: bigint;
}

/** Whether an item lies in a piece. */
export function holds(island: Island, seq: bigint): boolean {
  return island.low <= seq && seq <= island.high;
}

/** Takes a piece out together with all islands that it touches. */
export function joined(islands: Island[], piece: Island): Island {
  const rest: Island[] = [];
  let whole = piece;
  for (const island of islands) {
    if (touches(island, piece)) whole = { low: min(whole.low, island.low), high: max(whole.high, island.high) };
    else rest.push(island);
  }
  islands.splice(0, islands.length, ...rest);
  return whole;
}

/** Adds a piece that touches none, in its place. */
export function addIsland(islands: Island[], piece: Island): void {
  const above = islands.findIndex((island) => island.low >= piece.low);
  islands.splice(above < 0 ? islands.length : above, 0, piece);
  islands.splice(0, Math.max(0, islands.length - ISLANDS));
}

/** Nothing below a position is there for the person. */
export function cutBelow(islands: readonly Island[], seq: bigint): Island[] {
  return islands.filter((island) => island.high >= seq).map(({ low, high }) => ({ low: max(low, seq), high }));
}

/** Whether both are one piece together. */
function touches(one: Island, other: Island): boolean {
  return one.low <= other.high + 1n && other.low <= one.high + 1n;
}

/** The lesser of two numbers. */
export function min(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}

/** The greater of two numbers. */
export function max(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}
