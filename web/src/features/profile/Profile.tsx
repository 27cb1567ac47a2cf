import type { User, UserStatus } from "@madang/client";
import { useEffect, useState } from "react";
import { nameOf, useClient, useObserved, usePeople, useTask } from "../../app/client.js";
import { Avatar } from "../../design/Avatar.js";
import { Button } from "../../design/Button.js";
import { Field } from "../../design/Field.js";
import { Trouble } from "../../design/Trouble.js";
import { useText } from "../../text/index.js";
import "./profile.css";

/** Longest fields in characters, as the contract has them. */
const LONGEST = { displayName: 60, title: 80, phone: 40, bio: 500, status: 100, emoji: 8 } as const;

const STATES = ["Online", "Away", "Busy", "Offline"] as const satisfies readonly UserStatus[];

/** One's own profile and status. */
export function Profile() {
  const client = useClient();
  const me = useObserved(client.me);
  const user = usePeople(me ? [me] : []).get(me ?? "");
  if (!user) return <div className="ghost" style={{ height: 320 }} />;
  return (
    <>
      <div className="person">
        <Avatar name={nameOf(user)} size="large" />
        <div>
          <strong>
            <bdi>{nameOf(user)}</bdi>
          </strong>
          <div className="soft">{[user.login, user.email].filter(Boolean).join(" · ")}</div>
        </div>
      </div>
      <Status user={user} />
      <Fields user={user} />
    </>
  );
}

function Status({ user }: { readonly user: User }) {
  const text = useText();
  const client = useClient();
  const saving = useSaving();
  const [state, setState] = useState<UserStatus>(user.status === "Unspecified" ? "Online" : user.status);
  const [emoji, setEmoji] = useState(user.customStatus?.emoji ?? "");
  const [words, setWords] = useState(user.customStatus?.text ?? "");
  const save = () => {
    const custom = emoji || words ? { emoji: emoji.trim(), text: words.trim() } : undefined;
    return saving.save(() => client.setStatus(state, custom));
  };
  return (
    <form
      className="settings-form"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <fieldset className="choice">
        <legend>{text.profile.status}</legend>
        {STATES.map((name) => (
          <label key={name}>
            <input type="radio" name="status" checked={state === name} onChange={() => setState(name)} />
            {text.profile.states[name]}
          </label>
        ))}
      </fieldset>
      <div className="status-row">
        <Field label={text.profile.emoji}>
          {(named) => (
            <input {...named} className="input" maxLength={LONGEST.emoji} value={emoji} onChange={(event) => setEmoji(event.target.value)} />
          )}
        </Field>
        <Field label={text.profile.custom}>
          {(named) => (
            <input
              {...named}
              className="input"
              maxLength={LONGEST.status}
              placeholder={text.profile.customHint}
              value={words}
              onChange={(event) => setWords(event.target.value)}
            />
          )}
        </Field>
      </div>
      {saving.foot}
    </form>
  );
}

function Fields({ user }: { readonly user: User }) {
  const text = useText();
  const client = useClient();
  const saving = useSaving();
  const [fields, setFields] = useState({ displayName: user.displayName, title: user.title, phone: user.phone, bio: user.bio });
  const set = (name: keyof typeof fields) => (event: { target: { value: string } }) => setFields({ ...fields, [name]: event.target.value });
  const save = () => {
    const names = Object.keys(fields) as (keyof typeof fields)[];
    const changed = Object.fromEntries(names.filter((name) => fields[name] !== user[name]).map((name) => [name, fields[name].trim()]));
    return saving.save(async () => {
      if (Object.keys(changed).length > 0) await client.updateProfile(changed);
    });
  };
  const line = (name: "displayName" | "title" | "phone", label: string) => (
    <Field label={label}>
      {(named) => (
        <input
          {...named}
          className="input"
          required={name === "displayName"}
          type={name === "phone" ? "tel" : "text"}
          maxLength={LONGEST[name]}
          value={fields[name]}
          onChange={set(name)}
        />
      )}
    </Field>
  );
  return (
    <form
      className="settings-form"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      {line("displayName", text.profile.displayName)}
      {line("title", text.profile.jobTitle)}
      {line("phone", text.profile.phone)}
      <Field label={text.profile.bio}>
        {(named) => <textarea {...named} className="input" rows={3} maxLength={LONGEST.bio} value={fields.bio} onChange={set("bio")} />}
      </Field>
      {saving.foot}
    </form>
  );
}

/** Saving a form: the button, whether it was saved, why not. */
function useSaving() {
  const text = useText();
  const task = useTask();
  const [saved, setSaved] = useState(false);
  useEffect(() => {
    if (!saved) return undefined;
    const timer = setTimeout(() => setSaved(false), 4_000);
    return () => clearTimeout(timer);
  }, [saved]);
  const save = async (todo: () => Promise<unknown>) => setSaved(await task.run(todo));
  const foot = (
    <>
      {task.error !== undefined && <Trouble error={task.error} />}
      <div className="dialog-foot">
        <span className="soft small" role="status">
          {saved && text.common.saved}
        </span>
        <Button kind="main" type="submit" disabled={task.busy}>
          {text.common.save}
        </Button>
      </div>
    </>
  );
  return { save, foot };
}
