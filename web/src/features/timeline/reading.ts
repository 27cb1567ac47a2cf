import type { Timeline, TimelineItem } from "@madang/client";
import type { Virtualizer } from "@tanstack/react-virtual";
import { useCallback, useEffect, useRef, type RefObject } from "react";
import { useClient } from "../../app/client.js";
import { seqUpTo } from "./rows.js";

/** Pixels of a row that may hang below the edge and it is seen all the same. */
const SLACK = 8;

/** What reading a timeline gives. */
export interface Reading {
  /** Index of the last item that is seen as a whole. */
  lastSeen(): number;
  /** Nothing is marked as read any more: the person wants it so. */
  hold(): void;
}

/**
 * Marks as read what is in front of the person: seen as a whole, while the page is visible and has the focus; never on receipt.
 */
export function useReading(
  timeline: Timeline,
  items: readonly TimelineItem[],
  virtual: Virtualizer<HTMLDivElement, HTMLDivElement>,
  scroller: RefObject<HTMLDivElement | null>,
  onAtEnd: (atEnd: boolean) => void,
): Reading {
  const client = useClient();
  const marked = useRef(0);
  const held = useRef(false);
  const lastSeen = useCallback(() => {
    const element = scroller.current;
    if (!element || items.length === 0) return -1;
    // By the rows themselves: what stands above them, and the space below the last one, are not theirs.
    const edge = element.getBoundingClientRect().bottom + SLACK;
    const rows = [...element.querySelectorAll<HTMLElement>("[data-index]")];
    const seen = rows.filter((row) => row.getBoundingClientRect().bottom <= edge);
    return seen.reduce((most, row) => Math.max(most, Number(row.dataset["index"])), -1);
  }, [items, scroller]);
  const look = useCallback(() => {
    const atEnd = virtual.isAtEnd();
    onAtEnd(atEnd);
    const seen = seqUpTo(items, lastSeen());
    timeline.scrolledTo(atEnd && timeline.isAtNewest ? undefined : seen || undefined);
    if (held.current || seen <= marked.current || document.visibilityState !== "visible" || !document.hasFocus()) return;
    marked.current = seen;
    // A mark that fails is made again with the next one, which includes it.
    void client.markRead(timeline.roomId, seen).catch(() => (marked.current = 0));
  }, [client, timeline, items, virtual, lastSeen, onAtEnd]);
  useEffect(() => {
    // After the frame: rows have their heights and their places by then.
    let frame = requestAnimationFrame(look);
    const soon = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(look);
    };
    const element = scroller.current;
    element?.addEventListener("scroll", soon, { passive: true });
    addEventListener("focus", soon);
    document.addEventListener("visibilitychange", soon);
    return () => {
      cancelAnimationFrame(frame);
      element?.removeEventListener("scroll", soon);
      removeEventListener("focus", soon);
      document.removeEventListener("visibilitychange", soon);
    };
  }, [look, scroller]);
  const hold = useCallback(() => {
    held.current = true;
  }, []);
  return { lastSeen, hold };
}
