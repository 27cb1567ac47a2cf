import type { MessageItem, RoomItem, Timeline as OpenTimeline } from "@madang/client";
import { useCallback, useMemo, useRef, useState } from "react";
import { nameOf, useClient, useItems, useObserved, useOpened, usePeople, useTask, useWatched } from "../../app/client.js";
import { go } from "../../app/route.js";
import { Button, IconButton } from "../../design/Button.js";
import { Dialog } from "../../design/Dialog.js";
import { Trouble } from "../../design/Trouble.js";
import { useText } from "../../text/index.js";
import { Composer } from "../composer/Composer.js";
import { editedKey } from "../composer/drafts.js";
import type { MessageActions } from "./Message.js";
import { lastOwn, readersFrom } from "./rows.js";
import { Timeline, type TimelineHandle } from "./Timeline.js";
import "./timeline.css";

/**
 * A room in front of the person: its head, its messages, the line to write in. `room`: absent while the rooms are not known, and
 * when one is not in it any more.
 */
export function Conversation({
  roomId,
  room,
  roomsKnown,
  membersShown,
}: {
  readonly roomId: string;
  readonly room: RoomItem | undefined;
  readonly roomsKnown: boolean;
  readonly membersShown: boolean;
}) {
  // The name stays on the screen when one is removed.
  const known = useRef(room);
  if (room) known.current = room;
  return (
    <main className="conversation" aria-label={known.current?.name}>
      <Head room={known.current} inside={room !== undefined} membersShown={membersShown} />
      {/* What is unread is known with the rooms: opened before that, a timeline has no line of new messages. */}
      {roomsKnown ? (
        <Messages roomId={roomId} room={room} name={known.current?.name ?? ""} />
      ) : (
        <div className="timeline" aria-busy="true" />
      )}
    </main>
  );
}

function Messages({ roomId, room, name }: { readonly roomId: string; readonly room: RoomItem | undefined; readonly name: string }) {
  const text = useText();
  const client = useClient();
  const opened = useOpened(`timeline ${roomId}`, () => client.timeline(roomId, { anchor: "FirstUnread" }));
  return (
    <>
      {opened.error !== undefined && (
        <div className="conversation-trouble">
          <Trouble error={opened.error}>
            <Button kind="link" onClick={opened.again}>
              {text.common.retry}
            </Button>
          </Trouble>
        </div>
      )}
      {opened.list ? (
        <Open timeline={opened.list} room={room} name={name} />
      ) : (
        <div className="timeline" aria-busy={opened.error === undefined} />
      )}
    </>
  );
}

function Head({
  room,
  inside,
  membersShown,
}: {
  readonly room: RoomItem | undefined;
  readonly inside: boolean;
  readonly membersShown: boolean;
}) {
  const text = useText();
  return (
    <header className="pane-head">
      <span className="only-narrow">
        <IconButton icon="back" label={text.common.back} onClick={() => go({ kind: "Rooms" })} />
      </span>
      <h1 className="one-line">
        <bdi>{room?.name}</bdi>
      </h1>
      {room?.topic && (
        <bdi className="soft small one-line conversation-topic" title={room.topic}>
          {room.topic}
        </bdi>
      )}
      {inside && room && (
        <button
          type="button"
          className="button plain conversation-members"
          aria-expanded={membersShown}
          title={text.members.show}
          onClick={() => go({ kind: "Room", roomId: room.id, members: !membersShown })}
        >
          {text.rooms.members(room.memberCount)}
        </button>
      )}
    </header>
  );
}

type Asked = { readonly kind: "remove" | "readers"; readonly item: MessageItem };

function Open({
  timeline,
  room,
  name,
}: {
  readonly timeline: OpenTimeline;
  readonly room: RoomItem | undefined;
  readonly name: string;
}) {
  const client = useClient();
  const text = useText();
  const { roomId } = timeline;
  const items = useItems(timeline);
  const [editing, setEditing] = useState(() => editedKey(roomId));
  const [asked, setAsked] = useState<Asked>();
  const [said, setSaid] = useState("");
  const handle = useRef<TimelineHandle>(null);
  const composer = useRef<HTMLTextAreaElement>(null);
  const actions = useMemo<MessageActions>(
    () => ({
      edit: (item) => setEditing(item.key),
      remove: (item) => setAsked({ kind: "remove", item }),
      readers: (item) => setAsked({ kind: "readers", item }),
      copy: (item) => void navigator.clipboard.writeText(item.text).then(() => setSaid(text.timeline.copied), () => undefined),
      markUnread: (item) => {
        handle.current?.holdReading();
        if (item.seq !== undefined) void client.markUnread(roomId, item.seq).catch(() => undefined);
      },
    }),
    [client, roomId, text],
  );
  const toComposer = useCallback(() => composer.current?.focus(), []);
  const endEdit = useCallback(() => {
    setEditing(undefined);
    toComposer();
  }, [toComposer]);
  return (
    <>
      <Timeline
        timeline={timeline}
        newer={timeline.newer}
        roomName={name}
        editing={editing}
        onEditDone={endEdit}
        actions={actions}
        handle={handle}
        onEscape={toComposer}
      />
      <div className="hidden-text" aria-live="polite">
        {said}
      </div>
      {room ? (
        <>
          <Typing roomId={roomId} />
          <Composer
            room={room}
            area={composer}
            onSent={() => handle.current?.toLatest()}
            onEditLast={() => {
              const last = lastOwn(items);
              if (last) setEditing(last.key);
              return last !== undefined;
            }}
            onFocusMessages={() => handle.current?.focus()}
          />
        </>
      ) : (
        <Outside roomId={roomId} />
      )}
      {asked?.kind === "remove" && <RemoveMessage roomId={roomId} item={asked.item} onClose={() => setAsked(undefined)} />}
      {asked?.kind === "readers" && (
        <Readers
          roomId={roomId}
          seq={asked.item.seq ?? 0}
          names={readersFrom(items, items.findIndex((item) => item.key === asked.item.key))}
          onClose={() => setAsked(undefined)}
        />
      )}
    </>
  );
}

/** Who is writing: a line of its own that is always there, so that nothing moves. */
function Typing({ roomId }: { readonly roomId: string }) {
  const text = useText();
  const client = useClient();
  const me = useObserved(client.me);
  const typers = useWatched(`typers ${roomId}`, () => client.typers(roomId)) ?? [];
  const others = typers.filter((id) => id !== me);
  const people = usePeople(others);
  const names = others.map((id) => nameOf(people.get(id)) || text.common.unknownPerson);
  return (
    <div className="typing soft small one-line" aria-live="off">
      {names.length > 0 && text.timeline.typing(names)}
    </div>
  );
}

/** What stands in place of the line to write in when one is not in the room any more. */
function Outside({ roomId }: { readonly roomId: string }) {
  const text = useText();
  const client = useClient();
  const task = useTask();
  return (
    <div className="outside" role="status">
      <div>
        <strong>{text.rooms.gone}</strong>
        <p className="soft small">{text.rooms.goneLead}</p>
      </div>
      {task.error !== undefined && <Trouble error={task.error} />}
      <div className="dialog-foot">
        <Button disabled={task.busy} onClick={() => void task.run(async () => client.settled(await client.join(roomId)))}>
          {text.rooms.rejoin}
        </Button>
        <Button kind="main" onClick={() => go({ kind: "Rooms" })}>
          {text.rooms.toRooms}
        </Button>
      </div>
    </div>
  );
}

function RemoveMessage({ roomId, item, onClose }: { readonly roomId: string; readonly item: MessageItem; readonly onClose: () => void }) {
  const text = useText();
  const client = useClient();
  const task = useTask();
  const remove = async () => {
    if (await task.run(() => client.delete(roomId, item.seq ?? item.clientMessageId))) onClose();
  };
  return (
    <Dialog title={text.timeline.removeTitle} onClose={onClose}>
      <blockquote className="quoted" dir="auto">
        {item.text.slice(0, 200)}
      </blockquote>
      <p>{text.timeline.removeLead}</p>
      {task.error !== undefined && <Trouble error={task.error} />}
      <div className="dialog-foot">
        <Button onClick={onClose}>{text.common.cancel}</Button>
        <Button kind="main" disabled={task.busy} onClick={() => void remove()}>
          {text.timeline.remove}
        </Button>
      </div>
    </Dialog>
  );
}

function Readers({
  roomId,
  seq,
  names,
  onClose,
}: {
  readonly roomId: string;
  readonly seq: number;
  readonly names: readonly string[];
  readonly onClose: () => void;
}) {
  const text = useText();
  const client = useClient();
  const count = useWatched(`readers ${roomId} ${seq}`, () => client.readers(roomId, seq));
  return (
    <Dialog title={text.timeline.readers} onClose={onClose}>
      <p aria-live="polite">{count ? text.timeline.readersCount(count.read, count.members) : text.timeline.readersWait}</p>
      {names.length > 0 && (
        <ul>
          {names.map((name) => (
            <li key={name}>
              <bdi>{name}</bdi>
            </li>
          ))}
        </ul>
      )}
    </Dialog>
  );
}
