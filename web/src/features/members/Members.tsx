import type { RoomItem, RoomMember, User } from "@madang/client";
import { useMemo, useState } from "react";
import { nameOf, useClient, useItems, useObserved, useOpened, useTask, useWatched } from "../../app/client.js";
import { go } from "../../app/route.js";
import { Avatar } from "../../design/Avatar.js";
import { Button, IconButton } from "../../design/Button.js";
import { Dialog } from "../../design/Dialog.js";
import { Icon } from "../../design/Icon.js";
import { Trouble } from "../../design/Trouble.js";
import { useText } from "../../text/index.js";
import { Person } from "../profile/Person.js";
import { PeoplePicker } from "./PeoplePicker.js";
import "./members.css";

/** The server tells of the presence of so many. */
const PRESENT = 200;

/** Who is in the room, and what an admin does about it. */
export function Members({ room }: { readonly room: RoomItem }) {
  const text = useText();
  const client = useClient();
  const me = useObserved(client.me);
  const opened = useOpened(`members ${room.id}`, () => client.members(room.id));
  const members = useItems(opened.list);
  const ids = useMemo(() => members.slice(0, PRESENT).map((member) => member.user.id), [members]);
  const here = useWatched(`presence ${ids.join(" ")}`, () => client.presence(ids));
  const [asked, setAsked] = useState<{ kind: "invite" | "leave" } | { kind: "remove" | "person"; user: User }>();
  const close = () => setAsked(undefined);
  const group = room.kind !== "Dm";
  return (
    <aside className="members" aria-label={text.members.title}>
      <header className="pane-head">
        <IconButton icon="close" label={text.common.close} onClick={() => go({ kind: "Room", roomId: room.id, members: false })} />
        <h2>{text.members.title}</h2>
        <span className="soft">{room.memberCount}</span>
        {group && (
          <Button kind="plain" onClick={() => setAsked({ kind: "invite" })}>
            <Icon name="add" />
            {text.members.invite}
          </Button>
        )}
      </header>
      {opened.error !== undefined && (
        <Trouble error={opened.error}>
          <Button kind="link" onClick={opened.again}>
            {text.common.retry}
          </Button>
        </Trouble>
      )}
      <ul className="members-list">
        {members.map((member) => (
          <Row
            key={member.user.id}
            member={member}
            mine={member.user.id === me}
            here={here?.get(member.user.id)}
            removable={room.admin && group && member.user.id !== me}
            onOpen={() => setAsked({ kind: "person", user: member.user })}
            onRemove={() => setAsked({ kind: "remove", user: member.user })}
          />
        ))}
      </ul>
      {group && (
        <footer className="members-foot">
          <Button kind="danger" onClick={() => setAsked({ kind: "leave" })}>
            <Icon name="leave" />
            {text.members.leave}
          </Button>
        </footer>
      )}
      {asked?.kind === "invite" && <Invite room={room} members={members} onClose={close} />}
      {asked?.kind === "leave" && <Leave room={room} onClose={close} />}
      {asked?.kind === "remove" && <Remove room={room} user={asked.user} onClose={close} />}
      {asked?.kind === "person" && <Person user={asked.user} onClose={close} />}
    </aside>
  );
}

function Row({
  member,
  mine,
  here,
  removable,
  onOpen,
  onRemove,
}: {
  readonly member: RoomMember;
  readonly mine: boolean;
  readonly here: boolean | undefined;
  readonly removable: boolean;
  readonly onOpen: () => void;
  readonly onRemove: () => void;
}) {
  const text = useText();
  const { user } = member;
  const name = nameOf(user) || text.common.unknownPerson;
  const said = [user.customStatus?.emoji, user.customStatus?.text].filter(Boolean).join(" ") || user.title;
  return (
    <li className="members-row">
      <button type="button" className="members-open" onClick={onOpen}>
        <Avatar name={name} here={here ?? false} />
        <span className="members-words">
          <span className="members-name">
            <bdi className="one-line">{name}</bdi>
            {mine && <span className="tag">{text.common.you}</span>}
            {member.member.role === "Admin" && <span className="tag">{text.members.admin}</span>}
            <span className="hidden-text">{here ? text.members.here : text.members.away}</span>
          </span>
          {said && <bdi className="soft small one-line">{said}</bdi>}
        </span>
      </button>
      {removable && <IconButton icon="close" label={text.members.remove(name)} onClick={onRemove} />}
    </li>
  );
}

function Invite({
  room,
  members,
  onClose,
}: {
  readonly room: RoomItem;
  readonly members: readonly RoomMember[];
  readonly onClose: () => void;
}) {
  const text = useText();
  const client = useClient();
  const task = useTask();
  const [people, setPeople] = useState<readonly User[]>([]);
  const invite = async () => {
    const ids = people.map((user) => user.id);
    if (await task.run(async () => client.settled(await client.invite(room.id, ids)))) onClose();
  };
  return (
    <Dialog title={text.members.inviteTitle(room.name)} onClose={onClose}>
      <PeoplePicker label={text.members.find} chosen={people} onChange={setPeople} without={members.map((member) => member.user.id)} />
      {task.error !== undefined && <Trouble error={task.error} />}
      <div className="dialog-foot">
        <Button onClick={onClose}>{text.common.cancel}</Button>
        <Button kind="main" disabled={people.length === 0 || task.busy} onClick={() => void invite()}>
          {text.members.inviteGo(people.length)}
        </Button>
      </div>
    </Dialog>
  );
}

/** What ends something asks first. */
function Ask({
  title,
  lead,
  word,
  task: todo,
  onClose,
}: {
  readonly title: string;
  readonly lead: string;
  readonly word: string;
  readonly task: () => Promise<unknown>;
  readonly onClose: () => void;
}) {
  const text = useText();
  const task = useTask();
  const go = async () => {
    if (await task.run(todo)) onClose();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{lead}</p>
      {task.error !== undefined && <Trouble error={task.error} />}
      <div className="dialog-foot">
        <Button onClick={onClose}>{text.common.cancel}</Button>
        <Button kind="main" disabled={task.busy} onClick={() => void go()}>
          {word}
        </Button>
      </div>
    </Dialog>
  );
}

function Leave({ room, onClose }: { readonly room: RoomItem; readonly onClose: () => void }) {
  const text = useText();
  const client = useClient();
  const leave = async () => {
    await client.settled(await client.leave(room.id));
    go({ kind: "Rooms" });
  };
  const { leaveTitle, leaveLead, leaveGo } = text.members;
  return <Ask title={leaveTitle(room.name)} lead={leaveLead} word={leaveGo} task={leave} onClose={onClose} />;
}

function Remove({ room, user, onClose }: { readonly room: RoomItem; readonly user: User; readonly onClose: () => void }) {
  const text = useText();
  const client = useClient();
  const remove = async () => client.settled(await client.remove(room.id, user.id));
  const { removeTitle, removeLead, removeGo } = text.members;
  return <Ask title={removeTitle(nameOf(user))} lead={removeLead} word={removeGo} task={remove} onClose={onClose} />;
}
