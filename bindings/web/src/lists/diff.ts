/**
 * Changes of a list, as a screen applies them. The changes of a batch, applied one after the other, lead from the list as it
 * was told to the list as it is; nothing has to be read elsewhere.
 */

/** A change of an observed list. Places are those of the list at that moment: apply one after the other. */
export type ListChange<T> =
  /** New items at the end, in their order. */
  | { readonly kind: "Appended"; readonly items: readonly T[] }
  /** A new item, now at this place. */
  | { readonly kind: "Inserted"; readonly index: number; readonly item: T }
  /** An item is another now, at this place; it did not move. */
  | { readonly kind: "Changed"; readonly index: number; readonly item: T }
  /** An item has another place (`to`: in the list without it), and may be another in itself. */
  | { readonly kind: "Moved"; readonly from: number; readonly to: number; readonly item: T }
  /** The item at this place is gone. */
  | { readonly kind: "Removed"; readonly index: number }
  /** Everything from a place on is gone. */
  | { readonly kind: "Truncated"; readonly length: number }
  /** The list is another: too much changed to be told singly. */
  | { readonly kind: "Reset"; readonly items: readonly T[] };

/** Makes a change in a list that the changes before have led to. */
export function applyChange<T>(list: T[], change: ListChange<T>): void {
  switch (change.kind) {
    case "Appended":
      list.push(...change.items);
      break;
    case "Inserted":
      list.splice(change.index, 0, change.item);
      break;
    case "Changed":
      list[change.index] = change.item;
      break;
    case "Moved":
      list.splice(change.from, 1);
      list.splice(change.to, 0, change.item);
      break;
    case "Removed":
      list.splice(change.index, 1);
      break;
    case "Truncated":
      list.length = change.length;
      break;
    case "Reset":
      list.splice(0, list.length, ...change.items);
      break;
  }
}

/** Changes that are told singly. Beyond that a listener is faster with the whole list; two full pages of a timeline are fewer. */
const TOLD_CHANGES = 500;

/** Changes that lead from one list to another: few where few items are others, and one where too many are. */
export function differences<T>(from: readonly T[], to: readonly T[], key: (item: T) => string): ListChange<T>[] {
  const same = (one: T | undefined, other: T | undefined) =>
    one !== undefined && other !== undefined && key(one) === key(other);
  let head = 0;
  while (same(from[head], to[head])) head += 1;
  let tail = 0;
  const most = Math.min(from.length, to.length) - head;
  while (tail < most && same(from[from.length - 1 - tail], to[to.length - 1 - tail])) tail += 1;
  const middle = { head, last: tail === 0, from: from.slice(head, from.length - tail), to: to.slice(head, to.length - tail) };
  const changes = middleChanges(middle, key);
  if (!changes) return [{ kind: "Reset", items: to }];
  for (let index = 0; index < to.length; index++) {
    if (index >= head && index < to.length - tail) continue;
    const before = from[index < head ? index : index + from.length - to.length] as T;
    const item = to[index] as T;
    if (!equal(before, item)) changes.push({ kind: "Changed", index, item });
  }
  return changes.length > TOLD_CHANGES ? [{ kind: "Reset", items: to }] : changes;
}

/** What lies between the beginning and the end that two lists have in common. */
interface Middle<T> {
  /** Items before it. */
  readonly head: number;
  /** Nothing comes after it. */
  readonly last: boolean;
  readonly from: readonly T[];
  readonly to: readonly T[];
}

/** `undefined`: too many, or nothing stays of a whole list. */
function middleChanges<T>(middle: Middle<T>, key: (item: T) => string): ListChange<T>[] | undefined {
  const { head, last, from, to } = middle;
  const places = new Map(from.map((item, at) => [key(item), at]));
  // For each item of the new list its place in the old.
  const origins = to.map((item) => places.get(key(item)));
  const kept = new Set(origins.filter((at) => at !== undefined));
  if (kept.size === 0 && from.length > 0 && to.length > 0 && head === 0 && last) return undefined;
  const changes: ListChange<T>[] = [];
  removeGone(middle, kept, changes);
  if (changes.length > TOLD_CHANGES) return undefined;
  return arrange(middle, origins, kept, changes) ? changes : undefined;
}

function removeGone<T>({ head, last, from }: Middle<T>, kept: ReadonlySet<number>, changes: ListChange<T>[]): void {
  let end = from.length;
  while (last && end > 0 && !kept.has(end - 1)) end -= 1;
  if (end < from.length) changes.push({ kind: "Truncated", length: head + end });
  for (let at = end - 1; at >= 0; at--) if (!kept.has(at)) changes.push({ kind: "Removed", index: head + at });
}

/** Walks along the new list: what is there in the right order stays, the rest is moved or put in. `false`: too many. */
function arrange<T>(
  { head, last, from, to }: Middle<T>,
  origins: readonly (number | undefined)[],
  kept: ReadonlySet<number>,
  changes: ListChange<T>[],
): boolean {
  const stable = longestRising(origins.filter((at) => at !== undefined));
  const list: (number | undefined)[] = from.map((_, at) => at).filter((at) => kept.has(at));
  const others: ListChange<T>[] = [];
  let cursor = 0;
  for (const [index, item] of to.entries()) {
    const at = origins[index];
    if (at !== undefined && stable.has(at)) {
      while (list[cursor] !== at) cursor += 1;
      if (!equal(from[at], item)) others.push({ kind: "Changed", index: head + index, item });
    } else if (at !== undefined) {
      const place = list.indexOf(at);
      list.splice(place, 1);
      if (place < cursor) cursor -= 1;
      list.splice(cursor, 0, undefined);
      changes.push({ kind: "Moved", from: head + place, to: head + cursor, item });
    } else if (last && cursor === list.length) {
      list.push(undefined);
      append(item, changes);
    } else {
      list.splice(cursor, 0, undefined);
      changes.push({ kind: "Inserted", index: head + cursor, item });
    }
    cursor += 1;
    if (changes.length > TOLD_CHANGES) return false;
  }
  changes.push(...others);
  return true;
}

/** Puts an item at the end, together with those that were put there just before. */
function append<T>(item: T, changes: ListChange<T>[]): void {
  const before = changes.at(-1);
  if (before?.kind === "Appended") changes[changes.length - 1] = { kind: "Appended", items: [...before.items, item] };
  else changes.push({ kind: "Appended", items: [item] });
}

/** The most numbers that stand in rising order. */
function longestRising(numbers: readonly number[]): ReadonlySet<number> {
  // For each length the smallest last number of a rising row, by its place.
  const ends: number[] = [];
  const before: (number | undefined)[] = [];
  for (const [place, number] of numbers.entries()) {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((numbers[ends[middle] as number] as number) < number) low = middle + 1;
      else high = middle;
    }
    before.push(low > 0 ? ends[low - 1] : undefined);
    ends[low] = place;
  }
  const rising = new Set<number>();
  for (let place = ends.at(-1); place !== undefined; place = before[place]) rising.add(numbers[place] as number);
  return rising;
}

/** Whether two plain values say the same. */
export function equal(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  if (one instanceof Date || other instanceof Date) {
    return one instanceof Date && other instanceof Date && one.getTime() === other.getTime();
  }
  const [names, others] = [Object.keys(one), Object.keys(other)];
  const [fields, otherFields] = [one as Record<string, unknown>, other as Record<string, unknown>];
  return names.length === others.length && names.every((name) => equal(fields[name], otherFields[name]));
}
