import type { User } from "@madang/client";
import { useEffect, useId, useState } from "react";
import { nameOf, useClient } from "../../app/client.js";
import { Avatar } from "../../design/Avatar.js";
import { Icon } from "../../design/Icon.js";
import { Trouble } from "../../design/Trouble.js";
import { useText } from "../../text/index.js";
import "./members.css";

/** Rest between two keys before people are looked for. */
const REST_MS = 150;

/** People who begin with what was typed; empty while nothing is typed. */
export function useFoundPeople(typed: string): { readonly people: readonly User[]; readonly error: unknown; readonly done: boolean } {
  const client = useClient();
  const [found, setFound] = useState<{ readonly people: readonly User[]; readonly error: unknown; readonly of: string }>({
    people: [],
    error: undefined,
    of: "",
  });
  const wanted = typed.trim();
  useEffect(() => {
    if (wanted === "") {
      setFound({ people: [], error: undefined, of: "" });
      return undefined;
    }
    let ended = false;
    const timer = setTimeout(() => {
      client.searchUsers(wanted).then(
        (people) => !ended && setFound({ people, error: undefined, of: wanted }),
        (error: unknown) => !ended && setFound({ people: [], error, of: wanted }),
      );
    }, REST_MS);
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [client, wanted]);
  return { people: found.people, error: found.error, done: wanted !== "" && found.of === wanted };
}

/** Finds people by name and gathers them. */
export function PeoplePicker({
  label,
  chosen,
  onChange,
  without = [],
}: {
  readonly label: string;
  readonly chosen: readonly User[];
  readonly onChange: (people: readonly User[]) => void;
  /** People who are not offered, by id. */
  readonly without?: readonly string[];
}) {
  const text = useText();
  const id = useId();
  const me = useClient().me.now;
  const [typed, setTyped] = useState("");
  const [active, setActive] = useState(0);
  const found = useFoundPeople(typed);
  const gone = new Set([...without, ...chosen.map((user) => user.id), me]);
  const offered = found.people.filter((user) => !gone.has(user.id));
  const at = Math.min(active, offered.length - 1);
  const take = (user: User | undefined) => {
    if (!user) return;
    onChange([...chosen, user]);
    setTyped("");
    setActive(0);
  };
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {chosen.length > 0 && (
        <ul className="chosen" aria-label={text.members.chosen}>
          {chosen.map((user) => (
            <li key={user.id}>
              <bdi>{nameOf(user)}</bdi>
              <button
                type="button"
                aria-label={text.members.takeOut(nameOf(user))}
                onClick={() => onChange(chosen.filter((other) => other.id !== user.id))}
              >
                <Icon name="close" />
              </button>
            </li>
          ))}
        </ul>
      )}
      <input
        id={id}
        className="input"
        role="combobox"
        aria-expanded={offered.length > 0}
        aria-controls={`${id}-list`}
        aria-activedescendant={at >= 0 ? `${id}-${at}` : undefined}
        aria-describedby={`${id}-hint`}
        autoComplete="off"
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          setActive(0);
        }}
        onKeyDown={(event) => {
          if (event.nativeEvent.isComposing || event.keyCode === 229) return;
          if (event.key === "ArrowDown") setActive(Math.min(at + 1, offered.length - 1));
          else if (event.key === "ArrowUp") setActive(Math.max(at - 1, 0));
          else if (event.key === "Enter" && typed !== "") take(offered[at]);
          else if (event.key === "Backspace" && typed === "") onChange(chosen.slice(0, -1));
          else return;
          if (event.key !== "Backspace") event.preventDefault();
        }}
      />
      <ul className="offered" role="listbox" id={`${id}-list`} aria-label={text.members.find}>
        {offered.map((user, index) => (
          <li
            key={user.id}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === at}
            onMouseDown={(event) => {
              event.preventDefault();
              take(user);
            }}
          >
            <Avatar name={nameOf(user)} size="small" />
            <bdi className="one-line">{nameOf(user)}</bdi>
            <span className="soft small one-line">{[user.title, user.login].filter(Boolean).join(" · ")}</span>
          </li>
        ))}
      </ul>
      {found.error !== undefined && <Trouble error={found.error} />}
      <span className="hint" id={`${id}-hint`} aria-live="polite">
        {found.done && offered.length === 0 && found.error === undefined ? text.members.noneFound : text.members.findHint}
      </span>
    </div>
  );
}
