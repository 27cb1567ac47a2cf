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
