import type { RoomItem } from "@madang/client";
import { useEffect, useId, useMemo, useRef, useState, type KeyboardEvent, type RefObject } from "react";
import { flushSync } from "react-dom";
import { useClient, useItems, useObserved, useOpened } from "../../app/client.js";
import { Avatar } from "../../design/Avatar.js";
import { IconButton } from "../../design/Button.js";
import { Trouble } from "../../design/Trouble.js";
import { useText } from "../../text/index.js";
import { DraftKeeper } from "./drafts.js";
import { isComposing } from "./keys.js";
import { plain } from "./plain.js";
import { candidates, mentionAt, mentioned, type Candidate } from "./mentions.js";
import "./composer.css";

/** Longest message in characters, as the contract has it. */
const LONGEST = 8_000;

/** The line to write in. What is typed is kept at every key; sending takes it over to the outbox. */
export function Composer({
  room,
  area,
  onSent,
  onEditLast,
  onFocusMessages,
}: {
  readonly room: RoomItem;
  readonly area: RefObject<HTMLTextAreaElement | null>;
  readonly onSent: () => void;
  /** Edits one's last message; tells whether there is one. */
  readonly onEditLast: () => boolean;
  readonly onFocusMessages: () => void;
}) {
  const text = useText();
  const client = useClient();
  const [refused, setRefused] = useState<unknown>();
  const hint = useId();
  const keeper = useMemo(() => new DraftKeeper(client, room.id), [client, room.id]);
  const [typed, setLine] = useState("");
  const line = useRef("");
  const going = useRef(0);
  const setTyped = (next: string) => {
    line.current = next;
    setLine(next);
  };
  const chosen = useRef(new Set<string>());
  const touched = useRef(false);
  useEffect(() => {
    let ended = false;
    void keeper.load().then((draft) => {
      if (!ended && !touched.current) setTyped(draft);
    }, () => undefined);
    return () => {
      ended = true;
    };
  }, [keeper]);
  useEffect(() => {
    // Not on a phone: the keyboard would cover what one came to read.
    if (matchMedia("(hover: hover)").matches) area.current?.focus();
  }, [area, room.id]);
  const change = (changed: string) => {
    const next = plain(changed);
    touched.current = true;
    setTyped(next);
    keeper.keep(next);
    if (next !== "") client.typing(room.id);
  };
  const mention = useMention(room, typed, area, change, chosen.current);
  const length = [...typed].length;
  const send = async () => {
    if (typed.trim() === "" || length > LONGEST) return;
    const sent = typed;
    const { mentions, mentionAll } = mentioned(sent, mention.members, chosen.current, text.composer.mentionAll);
    // The line is free at once for the next message; what was in it stays the draft until the client has it.
    setTyped("");
    keeper.sending();
    going.current += 1;
    try {
      await client.send(room.id, { text: sent, mentions, mentionAll });
      setRefused(undefined);
      chosen.current.clear();
    } catch (error) {
      setRefused(error);
      setTyped([sent, line.current].filter(Boolean).join("\n"));
    }
    going.current -= 1;
    if (going.current > 0) return;
    if (line.current === "") keeper.sent();
    else keeper.keep(line.current);
    onSent();
  };
  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (isComposing(event) || mention.onKeyDown(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      void send();
    } else if (event.key === "ArrowUp" && typed === "" && !event.altKey) {
      if (onEditLast()) event.preventDefault();
    } else if (event.key === "Tab" && event.shiftKey) {
      event.preventDefault();
      onFocusMessages();
    }
  };
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {mention.view}
      {refused !== undefined && <Trouble error={refused} />}
      {length > LONGEST && (
        <p className="trouble" role="alert">
          {text.composer.tooLong(LONGEST)}
        </p>
      )}
      <div className="composer-line">
        <textarea
          ref={area}
          className="grows"
          dir="auto"
          rows={1}
          aria-label={text.composer.label(room.name)}
          aria-describedby={hint}
          aria-autocomplete="list"
          aria-controls={mention.listId}
          aria-activedescendant={mention.activeId}
          placeholder={text.composer.placeholder}
          value={typed}
          onChange={(event) => change(event.target.value)}
          onKeyDown={onKeyDown}
          onSelect={mention.onSelect}
        />
        <IconButton
          icon="send"
          type="submit"
          label={text.composer.send}
          disabled={typed.trim() === "" || length > LONGEST}
          data-ready={typed.trim() !== ""}
        />
      </div>
      <span id={hint} className="hidden-text">
        {text.composer.hint}
      </span>
    </form>
  );
}

/** The list of people that opens after an @. */
function useMention(
  room: RoomItem,
  typed: string,
  area: RefObject<HTMLTextAreaElement | null>,
  change: (text: string) => void,
  chosen: Set<string>,
) {
  const text = useText();
  const client = useClient();
  const me = useObserved(client.me);
  const listId = useId();
  const members = useItems(useOpened(`members ${room.id}`, () => client.members(room.id)).list);
  const [caret, setCaret] = useState(0);
  const [active, setActive] = useState(0);
  const [closedAt, setClosedAt] = useState<number>();
  const at = mentionAt(typed, caret);
  const all: Candidate = { id: undefined, name: text.composer.mentionAll, hint: text.composer.mentionAllHint };
  const found = at && at.start !== closedAt && room.kind !== "Dm" ? candidates(at.typed, members, me, all) : [];
  const index = Math.min(active, found.length - 1);
  const take = (candidate: Candidate | undefined) => {
    if (!candidate || !at) return;
    if (candidate.id) chosen.add(candidate.id);
    const before = `${typed.slice(0, at.start)}@${candidate.name} `;
    // At once: the next key comes behind the name.
    flushSync(() => change(before + typed.slice(caret)));
    area.current?.setSelectionRange(before.length, before.length);
    setActive(0);
  };
  const onKeyDown = (event: KeyboardEvent): boolean => {
    if (found.length === 0) return false;
    if (event.key === "ArrowDown") setActive((index + 1) % found.length);
    else if (event.key === "ArrowUp") setActive((index + found.length - 1) % found.length);
    else if (event.key === "Enter" || (event.key === "Tab" && !event.shiftKey)) take(found[index]);
    else if (event.key === "Escape") setClosedAt(at?.start);
    else return false;
    event.preventDefault();
    return true;
  };
  const view = found.length > 0 && (
    <ul className="mention-list" role="listbox" id={listId} aria-label={text.composer.mentionLabel}>
      {found.map((candidate, n) => (
        <li
          key={candidate.id ?? "all"}
          id={`${listId}-${n}`}
          role="option"
          aria-selected={n === index}
          onMouseDown={(event) => {
            event.preventDefault();
            take(candidate);
          }}
        >
          <Avatar name={candidate.name} size="small" />
          <bdi className="one-line">{candidate.name}</bdi>
          <span className="soft small one-line">{candidate.hint}</span>
        </li>
      ))}
    </ul>
  );
  return {
    members,
    view,
    onKeyDown,
    listId: found.length > 0 ? listId : undefined,
    activeId: found.length > 0 ? `${listId}-${index}` : undefined,
    onSelect: () => setCaret(area.current?.selectionStart ?? 0),
  };
}
