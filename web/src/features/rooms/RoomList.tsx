import type { RoomFilter, RoomItem, TimelineItem } from "@madang/client";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { useClient, useItems, useOpened, useWatched } from "../../app/client.js";
import { go, pathOf, type Place } from "../../app/route.js";
import { shortly } from "../../app/when.js";
import { Avatar } from "../../design/Avatar.js";
import { Button, IconButton } from "../../design/Button.js";
import { Icon } from "../../design/Icon.js";
import { Trouble } from "../../design/Trouble.js";
import { useLanguage, useText, type Catalogue } from "../../text/index.js";
import { noticeText } from "../timeline/notice.js";
import { FormerRooms } from "./FormerRooms.js";
import "./rooms.css";

/** Height of a row in pixels at the usual size of letters; rows are measured. */
const ROW = 54;

/** At most so many people are asked for whether they are here: as many as the server tells of. */
const PRESENT = 200;

type Part = "all" | "unread" | "mentions";

/** The rooms, live, with what is unread; filtered by text and by part. */
export function RoomList({ place, onCreate }: { readonly place: Place; readonly onCreate: () => void }) {
  const text = useText();
  const client = useClient();
  const [part, setPart] = useState<Part>("all");
  const [typed, setTyped] = useState("");
  const wanted = useDeferredValue(typed);
  const opened = useOpened("rooms", () => client.rooms());
  const { list } = opened;
  useEffect(() => {
    const filter: RoomFilter = { text: wanted, unread: part === "unread", mentions: part === "mentions" };
    list?.setFilter(filter);
  }, [list, wanted, part]);
  const rooms = useItems(list);
  const chosen = place.kind === "Room" ? place.roomId : undefined;
  const showAll = () => {
    setTyped("");
    setPart("all");
  };
  return (
    <nav className="rooms" aria-label={text.rooms.title}>
      <div className="rooms-tools">
        <div className="rooms-filter">
          <Icon name="search" />
          <input
            className="input"
            type="search"
            aria-label={text.rooms.filter}
            placeholder={text.rooms.filter}
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
            onKeyDown={(event) => {
              const first = rooms[0];
              if (event.key === "Enter" && !event.nativeEvent.isComposing && first) {
                go({ kind: "Room", roomId: first.id, members: false });
              }
            }}
          />
        </div>
        <IconButton icon="add" label={text.rooms.create} onClick={onCreate} />
      </div>
      <div className="rooms-parts" role="group" aria-label={text.rooms.filter}>
        {(["all", "unread", "mentions"] as const).map((name) => (
          <button key={name} type="button" aria-pressed={part === name} onClick={() => setPart(name)}>
            {text.rooms[name]}
          </button>
        ))}
      </div>
      {opened.error !== undefined && (
        <Trouble error={opened.error}>
          <Button kind="link" onClick={opened.again}>
            {text.common.retry}
          </Button>
        </Trouble>
      )}
      {!list && opened.error === undefined && <Waiting />}
      {list && rooms.length === 0 && <Empty filtered={typed !== "" || part !== "all"} onCreate={onCreate} onShowAll={showAll} />}
      <Rows rooms={rooms} chosen={chosen} />
      <FormerRooms />
    </nav>
  );
}

function Waiting() {
  return (
    <div className="rooms-waiting" aria-hidden="true">
      {[1, 2, 3, 4, 5].map((n) => (
        <div key={n} className="ghost" />
      ))}
    </div>
  );
}

function Empty({
  filtered,
  onCreate,
  onShowAll,
}: {
  readonly filtered: boolean;
  readonly onCreate: () => void;
  readonly onShowAll: () => void;
}) {
  const text = useText();
  return (
    <div className="rooms-empty">
      <p>{filtered ? text.rooms.noneFound : text.rooms.none}</p>
      {!filtered && <p className="soft small">{text.rooms.noneLead}</p>}
      {filtered ? (
        <Button onClick={onShowAll}>{text.rooms.showAll}</Button>
      ) : (
        <Button kind="main" onClick={onCreate}>
          {text.rooms.create}
        </Button>
      )}
    </div>
  );
}

function Rows({ rooms, chosen }: { readonly rooms: readonly RoomItem[]; readonly chosen: string | undefined }) {
  const client = useClient();
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rooms.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    getItemKey: (index) => rooms[index]?.id ?? index,
    overscan: 8,
  });
  const index = rooms.findIndex((room) => room.id === chosen);
  const others = useMemo(
    () => [...new Set(rooms.map((room) => room.directUserId).filter(Boolean))].slice(0, PRESENT),
    [rooms],
  );
  const here = useWatched(`presence ${others.join(" ")}`, () => client.presence(others));
  useEffect(() => {
    if (index >= 0) virtual.scrollToIndex(index, { align: "auto" });
    // Only when another room is chosen: not whenever the order changes.
  }, [chosen, index >= 0]);
  useEffect(() => {
    const step = (event: KeyboardEvent) => {
      if (!event.altKey || event.ctrlKey || event.metaKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
      const next = rooms[index + (event.key === "ArrowUp" ? -1 : 1)];
      if (!next) return;
      event.preventDefault();
      go({ kind: "Room", roomId: next.id, members: false });
    };
    addEventListener("keydown", step);
    return () => removeEventListener("keydown", step);
  }, [rooms, index]);
  return (
    <div className="rooms-scroller" ref={scroller}>
      <ul style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((row) => {
          const room = rooms[row.index];
          return (
            room && (
              <li
                key={row.key}
                data-index={row.index}
                ref={virtual.measureElement}
                aria-setsize={rooms.length}
                aria-posinset={row.index + 1}
                style={{ transform: `translateY(${row.start}px)` }}
              >
                <Row room={room} chosen={room.id === chosen} here={here?.get(room.directUserId)} />
              </li>
            )
          );
        })}
      </ul>
    </div>
  );
}

function Row({ room, chosen, here }: { readonly room: RoomItem; readonly chosen: boolean; readonly here: boolean | undefined }) {
  const text = useText();
  const language = useLanguage();
  const place: Place = { kind: "Room", roomId: room.id, members: false };
  return (
    <a
      className="rooms-row"
      href={pathOf(place)}
      aria-current={chosen ? "page" : undefined}
      data-unread={room.unread > 0 && !room.muted}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        go(place);
      }}
    >
      <Avatar name={room.name} here={room.kind === "Dm" ? (here ?? false) : undefined} />
      <span className="rooms-words">
        <bdi className="rooms-name one-line">{room.name}</bdi>
        <span className="rooms-last one-line">
          {room.draft && !chosen ? (
            <>
              <span className="rooms-draft">{text.rooms.draft}</span> <bdi>{room.draft}</bdi>
            </>
          ) : (
            <bdi>{lastWords(room.lastMessage, room.kind !== "Dm", text)}</bdi>
          )}
        </span>
      </span>
      <span className="rooms-side">
        <time dateTime={room.lastActiveAt.toISOString()}>{shortly(room.lastActiveAt, new Date(), language)}</time>
        <Badge room={room} />
      </span>
    </a>
  );
}

function Badge({ room }: { readonly room: RoomItem }) {
  const text = useText();
  if (room.unread === 0 && room.mentions === 0) return null;
  const said = room.mentions > 0 ? text.rooms.mentionsLabel(room.mentions) : text.rooms.unreadLabel(room.unread);
  const shown = room.mentions > 0 ? `@${room.mentions > 99 ? "99+" : room.mentions}` : room.unread > 999 ? "999+" : room.unread;
  return (
    <span className={`badge ${room.mentions > 0 ? "mention" : room.muted ? "quiet" : ""}`}>
      <span aria-hidden="true">{shown}</span>
      <span className="hidden-text">{said}</span>
    </span>
  );
}

/** The newest item of a room in one line. */
export function lastWords(item: TimelineItem | undefined, named: boolean, text: Catalogue): string {
  switch (item?.kind) {
    case "Message": {
      const said = item.deleted ? text.rooms.deleted : item.text.replace(/\s+/gu, " ");
      if (item.mine) return `${text.common.you}: ${said}`;
      return named && item.sender.name ? `${item.sender.name}: ${said}` : said;
    }
    case "Notice":
      return noticeText(item, text);
    case "Unsupported":
      return item.text || text.rooms.unsupported;
    default:
      return "";
  }
}
