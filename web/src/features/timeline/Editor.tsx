import type { MessageItem } from "@madang/client";
import { useEffect, useRef, useState } from "react";
import { useClient, useTask } from "../../app/client.js";
import { Button } from "../../design/Button.js";
import { Trouble } from "../../design/Trouble.js";
import { useText } from "../../text/index.js";
import { isComposing } from "../composer/keys.js";
import { plain } from "../composer/plain.js";
import { editKept, forgetEdit, keepEdit } from "../composer/drafts.js";

/** A message of one's own, edited in its place. What was typed survives a reload. */
export function Editor({ roomId, item, onDone }: { readonly roomId: string; readonly item: MessageItem; readonly onDone: () => void }) {
  const text = useText();
  const client = useClient();
  const task = useTask();
  const area = useRef<HTMLTextAreaElement>(null);
  const [typed, setTyped] = useState(() => editKept(roomId, item.key) ?? item.text);
  useEffect(() => {
    area.current?.focus();
    area.current?.setSelectionRange(typed.length, typed.length);
    keepEdit(roomId, item.key, typed);
  }, []);
  const done = () => {
    forgetEdit(roomId);
    onDone();
  };
  const save = async () => {
    if (typed.trim() === "" || typed === item.text) return done();
    if (await task.run(() => client.edit(roomId, item.seq ?? item.clientMessageId, typed))) done();
  };
  return (
    <form
      className="editor"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <textarea
        ref={area}
        className="input grows"
        dir="auto"
        rows={1}
        aria-label={text.timeline.editLabel}
        value={typed}
        onChange={(event) => {
          const next = plain(event.target.value);
          setTyped(next);
          keepEdit(roomId, item.key, next);
        }}
        onKeyDown={(event) => {
          event.stopPropagation();
          if (isComposing(event)) return;
          if (event.key === "Escape") done();
          if (event.key === "Enter" && !event.shiftKey) {
            event.preventDefault();
            void save();
          }
        }}
      />
      {task.error !== undefined && <Trouble error={task.error} />}
      <div className="editor-foot">
        <span className="soft small">{text.timeline.editHint}</span>
        <Button kind="plain" onClick={done}>
          {text.common.cancel}
        </Button>
        <Button kind="main" type="submit" disabled={task.busy}>
          {text.common.save}
        </Button>
      </div>
    </form>
  );
}
