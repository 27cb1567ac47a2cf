import type { MessageItem, Timeline as OpenTimeline, TimelineItem } from "@madang/client";
import { memo, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent, type RefObject } from "react";
import { useItems } from "../../app/client.js";
import { dayOf, timeOf } from "../../app/when.js";
import { Icon } from "../../design/Icon.js";
import { useLanguage, useText } from "../../text/index.js";
import { Editor } from "./Editor.js";
import { Message, type MessageActions } from "./Message.js";
import { noticeText } from "./notice.js";
import { useReading } from "./reading.js";
import { hasHead, haveCommon, newLineIndex, unsettled } from "./rows.js";
import { AT_END, useRows, type Virtual } from "./virtual.js";

/** Items that a page of older or newer ones has. */
const PAGE = 50;

/** So near an end, in items, the next page is fetched: more than a screen, so that nobody waits at the end. */
const NEAR = 25;

/** How long rows take at most to be measured and come to rest where the timeline begins; before that no page is fetched. */
const REST_MS = 150;

/** What a screen does with an open timeline from outside. */
export interface TimelineHandle {
  /** Goes to the newest item, wherever the timeline lies. */
  toLatest(): void;
  /** The focus goes to the last message that is seen. */
  focus(): void;
  /** From here on nothing is marked as read until the room is opened anew. */
  holdReading(): void;
}

/** The messages of a room: virtual both ways, at rest whatever comes above or below. Drawn for its own items, not for the list of rooms'. */
export const Timeline = memo(function Timeline({
  timeline,
  newer,
  roomName,
  editing,
  onEditDone,
  actions,
  handle,
  onEscape,
}: {
  readonly timeline: OpenTimeline;
  /** Items of the room after the last one here. */
  readonly newer: number;
  readonly roomName: string;
  readonly editing: string | undefined;
  readonly onEditDone: () => void;
  readonly actions: MessageActions;
  readonly handle: { current: TimelineHandle | null };
  readonly onEscape: () => void;
}) {
  const text = useText();
  const language = useLanguage();
  const all = useItems(timeline);
  const hidden = unsettled(all, timeline.isAtOldest);
  const items = useMemo(() => all.slice(hidden), [all, hidden]);
  const scroller = useRef<HTMLDivElement>(null);
  const wasAtNewest = useRef(timeline.isAtNewest);
  const [active, setActive] = useState<string>();
  const [atEnd, setAtEnd] = useState(true);
  const { virtual, measured } = useRows(timeline, items, all[hidden - 1], scroller);
  const follows = useFollowing(scroller);
  const before = useRef(items);
  useLayoutEffect(() => {
    // Nothing of what one looked at is there any more: the room began anew.
    if (timeline.isAtNewest && !haveCommon(before.current, items)) follows.current = true;
    // A page of newer items that was asked for is not followed: one reads on where one is.
    if (follows.current && wasAtNewest.current && timeline.isAtNewest) virtual.scrollToEnd();
    wasAtNewest.current = timeline.isAtNewest;
    before.current = items;
  }, [items, timeline, virtual]);
  const begun = useBeginning(items, virtual, follows);
  const rows = virtual.getVirtualItems();
  usePages(timeline, begun ? items.length : 0, rows[0]?.index ?? 0, rows.at(-1)?.index ?? 0);
  const reading = useReading(timeline, items, virtual, scroller, setAtEnd);
  const latest = useCallback(async () => {
    if (!timeline.isAtNewest) await timeline.jump("Newest").catch(() => undefined);
    follows.current = true;
    requestAnimationFrame(() => virtual.scrollToEnd());
  }, [timeline, virtual]);
  useEffect(() => {
    handle.current = {
      toLatest: () => void latest(),
      focus: () => focusRow(scroller.current, virtual, items, reading.lastSeen()),
      holdReading: reading.hold,
    };
    return () => {
      handle.current = null;
    };
  });
  const edited = editing === undefined ? -1 : items.findIndex((item) => item.key === editing);
  useEffect(() => {
    if (edited >= 0) virtual.scrollToIndex(edited, { align: "auto" });
  }, [editing]);
  const onKeyDown = (event: KeyboardEvent) => {
    const index = items.findIndex((item) => item.key === active);
    const item = items[index];
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      focusRow(scroller.current, virtual, items, step(items, index, event.key === "ArrowUp" ? -1 : 1));
    } else if (event.key === "End") {
      void latest();
    } else if (event.key === "Escape") {
      onEscape();
    } else if (item?.kind === "Message" && !event.ctrlKey && !event.metaKey && !event.altKey) {
      if (act(event.key, item, actions)) event.preventDefault();
    }
  };
  const first = items.findIndex(isMessage);
  const stop = items.some((item) => item.key === active) ? active : items[Math.max(first, 0)]?.key;
  return (
    <div className="timeline">
      <div
        className="timeline-scroller"
        ref={scroller}
        role="log"
        aria-live="off"
        aria-label={text.timeline.label(roomName)}
        onKeyDown={onKeyDown}
      >
        <div className="timeline-rows" style={{ height: virtual.getTotalSize() }}>
          {timeline.isAtOldest && items.length > 0 && <p className="timeline-beginning soft small">{text.timeline.beginning}</p>}
          {rows.map((row) => {
            const item = items[row.index];
            if (!item) return null;
            return (
              <div
                key={row.key}
                data-index={row.index}
                data-key={item.key}
                ref={measured}
                className="timeline-row"
                role={isMessage(item) ? "article" : undefined}
                aria-label={isMessage(item) ? `${item.sender.name}, ${timeOf(item.createdAt, language)}` : undefined}
                tabIndex={isMessage(item) ? (item.key === stop ? 0 : -1) : undefined}
                onFocus={() => setActive(item.key)}
                style={{ transform: `translateY(${row.start}px)` }}
              >
                <Row
                  item={item}
                  above={all[hidden + row.index - 1]}
                  actions={actions}
                  roomId={timeline.roomId}
                  editing={item.key === editing}
                  onEditDone={onEditDone}
                />
              </div>
            );
          })}
        </div>
      </div>
      {(!atEnd || !timeline.isAtNewest) && items.length > 0 && (
        <button type="button" className="timeline-latest" onClick={() => void latest()}>
          <Icon name="down" />
          {newer > 0 ? text.timeline.newer(newer) : text.timeline.latest}
        </button>
      )}
      <Announcer items={items} live={timeline.isAtNewest} />
    </div>
  );
});

function isMessage(item: TimelineItem): item is MessageItem {
  return item.kind === "Message";
}

/**
 * Whether the list stays at its end: while one is there, until one scrolls up. A list that only loses rows above moves up as well,
 * but comes no further from its end.
 */
function useFollowing(scroller: RefObject<HTMLDivElement | null>): { current: boolean } {
  const follows = useRef(true);
  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const below = () => element.scrollHeight - element.clientHeight - element.scrollTop;
    let [top, left] = [element.scrollTop, below()];
    const scrolled = () => {
      if (below() <= AT_END) follows.current = true;
      else if (element.scrollTop < top && below() > left) follows.current = false;
      [top, left] = [element.scrollTop, below()];
    };
    element.addEventListener("scroll", scrolled, { passive: true });
    return () => element.removeEventListener("scroll", scrolled);
  }, [scroller]);
  return follows;
}

/** Once the first items are there: at the line of new messages, else at the end. Tells when the rows have come to rest there. */
function useBeginning(items: readonly TimelineItem[], virtual: Virtual, follows: { current: boolean }): boolean {
  const [begun, setBegun] = useState(false);
  const some = items.length > 0;
  useLayoutEffect(() => {
    if (!some) return undefined;
    const line = newLineIndex(items);
    // Where all of it is seen one is at the line, and at the end.
    follows.current = line < 0 || virtual.isAtEnd();
    if (line >= 0) virtual.scrollToIndex(line, { align: "start" });
    else virtual.scrollToEnd();
    const timer = setTimeout(() => setBegun(true), REST_MS);
    return () => clearTimeout(timer);
    // Once: later changes find their place by themselves.
  }, [some, virtual]);
  return begun;
}

/** Fetches the next page when its end comes near. After a failure it rests until one scrolls on. */
function usePages(timeline: OpenTimeline, count: number, first: number, last: number): void {
  const loading = useRef(false);
  const [loaded, setLoaded] = useState(0);
  useEffect(() => {
    if (loading.current || count === 0) return;
    const older = first < NEAR && !timeline.isAtOldest;
    const newer = last >= count - NEAR && !timeline.isAtNewest;
    if (!older && !newer) return;
    loading.current = true;
    const page = older ? timeline.loadOlder(PAGE) : timeline.loadNewer(PAGE);
    // The items may be there before the page is done: then whoever waits at the end has nothing left to scroll.
    const done = (more: boolean) => {
      loading.current = false;
      if (more) setLoaded((pages) => pages + 1);
    };
    void page.then(done, () => done(false));
  }, [timeline, count, first, last, loaded]);
}

function step(items: readonly TimelineItem[], from: number, by: 1 | -1): number {
  for (let at = from + by; at >= 0 && at < items.length; at += by) if (items[at]?.kind === "Message") return at;
  return from;
}

function focusRow(scroller: HTMLElement | null, virtual: Virtual, items: readonly TimelineItem[], index: number): void {
  const key = items[index]?.key;
  if (!scroller || key === undefined) return;
  virtual.scrollToIndex(index, { align: "auto" });
  const focus = () => {
    const row = scroller.querySelector<HTMLElement>(`[data-index="${index}"]`);
    row?.focus({ preventScroll: true });
    return row !== null;
  };
  // One that is far away is drawn in the next frame.
  if (!focus()) requestAnimationFrame(focus);
}

function act(key: string, item: MessageItem, actions: MessageActions): boolean {
  if (item.deleted) return false;
  switch (key.toLowerCase()) {
    case "e":
      if (item.mine) actions.edit(item);
      return item.mine;
    case "delete":
      if (item.mine) actions.remove(item);
      return item.mine;
    case "c":
      actions.copy(item);
      return true;
    case "u":
      if (item.seq !== undefined) actions.markUnread(item);
      return true;
    default:
      return false;
  }
}

function Row({
  item,
  above,
  actions,
  roomId,
  editing,
  onEditDone,
}: {
  readonly item: TimelineItem;
  readonly above: TimelineItem | undefined;
  readonly actions: MessageActions;
  readonly roomId: string;
  readonly editing: boolean;
  readonly onEditDone: () => void;
}) {
  const text = useText();
  const language = useLanguage();
  switch (item.kind) {
    case "Message":
      return (
        <Message
          item={item}
          head={hasHead(above, item)}
          actions={actions}
          editor={editing ? <Editor roomId={roomId} item={item} onDone={onEditDone} /> : undefined}
        />
      );
    case "Notice":
      return (
        <p className="timeline-notice">
          <bdi>{noticeText(item, text)}</bdi>
        </p>
      );
    case "Unsupported":
      return (
        <p className="timeline-notice">
          <bdi>{item.sender.name}</bdi>: {item.text || text.timeline.unsupported}
        </p>
      );
    case "DayLine":
      return (
        <div className="timeline-day" role="separator" aria-label={dayOf(item.date, language)}>
          <span>{dayOf(item.date, language)}</span>
        </div>
      );
    case "NewLine":
      return (
        <div className="timeline-new" role="separator" aria-label={text.timeline.fresh}>
          <span>{text.timeline.fresh}</span>
        </div>
      );
  }
}

/** Reads others' new messages out to screen readers: only those that come at the end while one looks at it. */
function Announcer({ items, live }: { readonly items: readonly TimelineItem[]; readonly live: boolean }) {
  const last = items.at(-1);
  const seen = useRef(last?.key);
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (!last || last.key === seen.current) return;
    const fresh = seen.current !== undefined;
    seen.current = last.key;
    if (fresh && live && last.kind === "Message" && !last.mine) setSaid(`${last.sender.name}: ${last.text}`);
  }, [last, live]);
  return (
    <div className="hidden-text" aria-live="polite">
      {said}
    </div>
  );
}

