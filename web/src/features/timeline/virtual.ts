/** Which rows of a timeline are drawn, and that they stand still whatever comes above or below them. */

import type { Timeline, TimelineItem } from "@madang/client";
import { elementScroll, observeElementOffset, useVirtualizer, type VirtualItem, type Virtualizer } from "@tanstack/react-virtual";
import { useCallback, useEffect, useState, type RefObject } from "react";
import { hasHead } from "./rows.js";

/** Pixels from the end within which one is at the end. */
export const AT_END = 60;

/** Pixels above the first row, for what stands there once the room's beginning is reached: always there, so that nothing moves then. */
const ABOVE = 40;

/** Height of a row before it is measured. */
const GUESS = { Head: 52, Message: 25, Notice: 32, Unsupported: 44, DayLine: 38, NewLine: 28 } as const;

/** Rows that are drawn beyond what is seen, at both ends. */
const OVERSCAN = 10;

/** The rows of a timeline. */
export type Virtual = ReturnType<typeof useVirtualizer<HTMLDivElement, HTMLDivElement>>;

type Rows = Virtualizer<HTMLDivElement, HTMLDivElement>;

/** The rows of a timeline's items, in an element that scrolls; `above` is what stands above the first one and is not drawn. */
export function useRows(
  timeline: Timeline,
  items: readonly TimelineItem[],
  above: TimelineItem | undefined,
  scroller: RefObject<HTMLDivElement | null>,
): { virtual: Virtual; measured: (row: HTMLDivElement | null) => void } {
  const [place] = useState(() => new Place());
  // Before other items are drawn: they are laid out around where one is.
  useEffect(() => timeline.onDiff(() => place.catchUp(scroller.current)), [timeline, place, scroller]);
  const keyOf = useCallback((index: number) => items[index]?.key ?? index, [items]);
  const virtual = useVirtualizer<HTMLDivElement, HTMLDivElement>({
    count: items.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => GUESS[kindOf(items[index], index > 0 ? items[index - 1] : above)],
    getItemKey: keyOf,
    anchorTo: "end",
    scrollEndThreshold: AT_END,
    overscan: OVERSCAN,
    paddingStart: ABOVE,
    paddingEnd: 8,
    observeElementOffset: place.observe,
    scrollToFn: place.write,
  });
  virtual.shouldAdjustScrollPositionOnItemSizeChange = place.staysBelow;
  const measured = useCallback((row: HTMLDivElement | null) => place.measure(virtual, row), [place, virtual]);
  return { virtual, measured };
}

/**
 * Where the rows think that one is. What the browser scrolls by itself, to what gets the focus or is found, is told in the next frame
 * only, and must not be undone by what is written until then.
 */
class Place {
  #told = 0;
  /** One has scrolled up, and not down since. */
  #goesUp = false;
  /** The row that is measured was not there before. */
  #isNew = false;
  #tell: ((offset: number, isScrolling: boolean) => void) | undefined;

  readonly observe = (virtual: Rows, tell: (offset: number, isScrolling: boolean) => void) => {
    this.#tell = (offset, isScrolling) => {
      if (offset !== this.#told) this.#goesUp = offset < this.#told;
      this.#told = offset;
      tell(offset, isScrolling);
    };
    return observeElementOffset(virtual, this.#tell);
  };

  readonly write = (offset: number, options: Parameters<typeof elementScroll>[1], virtual: Rows) => {
    const element = virtual.scrollElement;
    if (!element) return;
    // A correction is by so many pixels, from wherever one is.
    const unheard = options.adjustments === undefined ? 0 : this.#unheard(element);
    elementScroll(offset + unheard, options, virtual);
    this.#told = element.scrollTop - unheard;
  };

  /** Measures a row as soon as it is there, before it is seen: also while one scrolls, when it would else be measured a frame later. */
  measure(virtual: Rows, row: HTMLDivElement | null): void {
    this.#isNew = true;
    virtual.measureElement(row);
    const index = row ? virtual.indexFromElement(row) : -1;
    if (row && !virtual.itemSizeCache.has(virtual.options.getItemKey(index))) virtual.resizeItem(index, row.offsetHeight);
    this.#isNew = false;
  }

  /**
   * Whether the rows below a row that turns out to have another height stand still, and not those above it: when nobody sees it, and
   * when it has just come from above, beside rows that were there before.
   */
  readonly staysBelow = ({ index, start, end }: VirtualItem, _by: number, virtual: Rows): boolean => {
    const top = virtual.scrollOffset ?? 0;
    if (!this.#isNew) return end <= top;
    const { count, getItemKey } = virtual.options;
    const last = Math.min((virtual.range?.endIndex ?? 0) + OVERSCAN, count - 1);
    return start < top || (this.#goesUp && index < last && virtual.elementsCache.has(getItemKey(last)));
  };

  /** Tells where one is, if that was not heard. */
  catchUp(element: HTMLElement | null): void {
    if (element && this.#unheard(element) !== 0) this.#tell?.(element.scrollTop, true);
  }

  /** By how much the element was scrolled since that was told. Whoever is at its end may be there because it became shorter. */
  #unheard({ scrollTop, scrollHeight, clientHeight }: HTMLElement): number {
    const by = scrollTop - this.#told;
    return Math.abs(by) < 1 || scrollTop >= scrollHeight - clientHeight - 1 ? 0 : by;
  }
}

/** Messages with a name above them are higher. */
function kindOf(item: TimelineItem | undefined, above: TimelineItem | undefined): keyof typeof GUESS {
  if (item?.kind !== "Message") return item?.kind ?? "Message";
  return hasHead(above, item) ? "Head" : "Message";
}
