import { useId, useMemo, useRef, useState } from "react";
import { nameOf, useClient, useItems, useOpened, useTask } from "../../app/client.js";
import { go } from "../../app/route.js";
import type { Over } from "../../app/Shell.js";
import { Avatar } from "../../design/Avatar.js";
import { Dialog } from "../../design/Dialog.js";
import { Icon, type IconName } from "../../design/Icon.js";
import { Trouble } from "../../design/Trouble.js";
import { useText, type Catalogue } from "../../text/index.js";
import { isComposing } from "../composer/keys.js";
import { useFoundPeople } from "../members/PeoplePicker.js";
import { choose } from "../settings/preferences.js";
import "./palette.css";

/** At most so many rooms and people are shown: more than one reads. */
const SHOWN = 8;

interface Entry {
  readonly key: string;
  readonly name: string;
  readonly hint: string;
  readonly icon?: IconName;
  run(): unknown;
}

/** Rooms, people and commands by a few letters. */
export function Palette({ onClose, onOver }: { readonly onClose: () => void; readonly onOver: (over: Over) => void }) {
  const text = useText();
  const client = useClient();
  const id = useId();
  const task = useTask();
  const [typed, setTyped] = useState("");
  const [active, setActive] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const rooms = useItems(useFilteredRooms(typed)).slice(0, SHOWN);
  const me = client.me.now;
  const people = useFoundPeople(typed).people.filter((user) => user.id !== me);
  const commands = useMemo(() => commandsOf(text, onOver), [text, onOver]);
  const wanted = typed.trim().toLowerCase();
  const entries: Entry[] = [
    ...rooms.map((room) => ({
      key: room.id,
      name: room.name,
      hint: text.palette.rooms,
      run: () => go({ kind: "Room", roomId: room.id, members: false }),
    })),
    ...people.slice(0, SHOWN).map((user) => ({
      key: user.id,
      name: nameOf(user),
      hint: text.palette.people,
      run: async () => go({ kind: "Room", roomId: await client.openDirect(user.id), members: false }),
    })),
    ...commands.filter((command) => command.name.toLowerCase().includes(wanted)),
  ];
  const index = Math.min(active, entries.length - 1);
  const run = async (entry: Entry | undefined) => {
    if (!entry) return;
    if (await task.run(async () => entry.run())) if (!entry.key.startsWith("over ")) onClose();
  };
  const move = (next: number) => {
    setActive(next);
    list.current?.children[next]?.scrollIntoView({ block: "nearest" });
  };
  return (
    <Dialog title={text.palette.title} onClose={onClose}>
      <input
        className="input"
        role="combobox"
        aria-label={text.palette.placeholder}
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={index >= 0 ? `${id}-${index}` : undefined}
        placeholder={text.palette.placeholder}
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          setActive(0);
        }}
        onKeyDown={(event) => {
          if (isComposing(event)) return;
          if (event.key === "ArrowDown") move(Math.min(index + 1, entries.length - 1));
          else if (event.key === "ArrowUp") move(Math.max(index - 1, 0));
          else if (event.key === "Enter") void run(entries[index]);
          else return;
          event.preventDefault();
        }}
      />
      {task.error !== undefined && <Trouble error={task.error} />}
      <ul className="palette" role="listbox" id={id} ref={list} aria-label={text.palette.title}>
        {entries.map((entry, n) => (
          <li key={entry.key} id={`${id}-${n}`} role="option" aria-selected={n === index} onClick={() => void run(entry)}>
            {entry.icon ? <Icon name={entry.icon} /> : <Avatar name={entry.name} size="small" />}
            <bdi className="one-line">{entry.name}</bdi>
            <span className="soft small">{entry.hint}</span>
          </li>
        ))}
      </ul>
      {entries.length === 0 && <p className="soft">{text.common.nothingFound}</p>}
    </Dialog>
  );
}

function useFilteredRooms(typed: string) {
  const client = useClient();
  const { list } = useOpened("rooms", () => client.rooms());
  useMemo(() => list?.setFilter({ text: typed.trim() }), [list, typed]);
  return list;
}

function commandsOf(text: Catalogue, onOver: (over: Over) => void): Entry[] {
  const hint = text.palette.commands;
  return [
    { key: "over create", name: text.rooms.create, hint, icon: "add", run: () => onOver("create") },
    { key: "settings", name: text.settings.title, hint, icon: "settings", run: () => go({ kind: "Settings", page: "general" }) },
    { key: "profile", name: text.profile.title, hint, icon: "person", run: () => go({ kind: "Settings", page: "profile" }) },
    { key: "devices", name: text.devices.title, hint, icon: "device", run: () => go({ kind: "Settings", page: "devices" }) },
    { key: "light", name: text.palette.light, hint, icon: "lines", run: () => choose({ theme: "light" }) },
    { key: "dark", name: text.palette.dark, hint, icon: "lines", run: () => choose({ theme: "dark" }) },
    { key: "ko", name: text.palette.korean, hint, icon: "lines", run: () => choose({ language: "ko" }) },
    { key: "en", name: text.palette.english, hint, icon: "lines", run: () => choose({ language: "en" }) },
    { key: "over signout", name: text.signin.goOut, hint, icon: "leave", run: () => onOver("signout") },
  ];
}
