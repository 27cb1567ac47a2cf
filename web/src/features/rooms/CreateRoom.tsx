import type { User } from "@madang/client";
import { useState } from "react";
import { useClient, useTask } from "../../app/client.js";
import { go } from "../../app/route.js";
import { Button } from "../../design/Button.js";
import { Dialog } from "../../design/Dialog.js";
import { Field } from "../../design/Field.js";
import { Trouble } from "../../design/Trouble.js";
import { useText } from "../../text/index.js";
import { PeoplePicker } from "../members/PeoplePicker.js";

/** Longest name and topic of a room in characters, as the contract has them. */
const NAME = 80;
const TOPIC = 250;

/** Makes a room with its people, and goes there. */
export function CreateRoom({ onClose }: { readonly onClose: () => void }) {
  const text = useText();
  const client = useClient();
  const task = useTask();
  const [name, setName] = useState("");
  const [topic, setTopic] = useState("");
  const [open, setOpen] = useState(false);
  const [people, setPeople] = useState<readonly User[]>([]);
  const make = async () => {
    let roomId = "";
    const members = people.map((user) => user.id);
    const done = await task.run(async () => {
      roomId = await client.createRoom({ name: name.trim(), topic: topic.trim() || undefined, open, members });
    });
    if (!done) return;
    onClose();
    go({ kind: "Room", roomId, members: false });
  };
  return (
    <Dialog title={text.rooms.create} onClose={onClose}>
      <form
        className="dialog-body-form"
        onSubmit={(event) => {
          event.preventDefault();
          void make();
        }}
      >
        <Field label={text.rooms.name}>
          {(named) => (
            <input {...named} className="input" required maxLength={NAME} value={name} onChange={(event) => setName(event.target.value)} />
          )}
        </Field>
        <Field label={text.rooms.topic} hint={text.rooms.topicHint}>
          {(named) => (
            <input {...named} className="input" maxLength={TOPIC} value={topic} onChange={(event) => setTopic(event.target.value)} />
          )}
        </Field>
        <PeoplePicker label={text.rooms.people} chosen={people} onChange={setPeople} />
        <label className="check">
          <input type="checkbox" checked={open} onChange={(event) => setOpen(event.target.checked)} />
          {text.rooms.open}
        </label>
        {task.error !== undefined && <Trouble error={task.error} />}
        <div className="dialog-foot">
          <Button onClick={onClose}>{text.common.cancel}</Button>
          <Button kind="main" type="submit" disabled={task.busy || name.trim() === ""}>
            {text.rooms.make}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
