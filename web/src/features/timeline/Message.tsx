import type { MessageItem, SendState } from "@madang/client";
import { memo, useState, type ReactNode } from "react";
import { useClient, useTask } from "../../app/client.js";
import { clockOf, momentOf, timeOf } from "../../app/when.js";
import { Avatar } from "../../design/Avatar.js";
import { Button, IconButton } from "../../design/Button.js";
import { Icon, type IconName } from "../../design/Icon.js";
import { Trouble } from "../../design/Trouble.js";
import { reasonText } from "../../text/failure.js";
import { useLanguage, useText } from "../../text/index.js";
import { piecesOf } from "./links.js";

/** A longer message is shown in part at first: one message must not fill ten screens. */
const FOLD_CHARACTERS = 2_000;
const FOLD_LINES = 30;

/** Readers shown at a message; the rest is a number. */
const READERS = 4;

/** What can be done with a message. */
export interface MessageActions {
  edit(item: MessageItem): void;
  remove(item: MessageItem): void;
  copy(item: MessageItem): void;
  markUnread(item: MessageItem): void;
  readers(item: MessageItem): void;
}

/** A message: who, when, what, how far. */
export const Message = memo(function Message({
  item,
  head,
  actions,
  editor,
}: {
  readonly item: MessageItem;
  readonly head: boolean;
  readonly actions: MessageActions;
  /** Stands in place of the text while it is edited. */
  readonly editor: ReactNode;
}) {
  const text = useText();
  const language = useLanguage();
  const name = item.sender.name || text.common.unknownPerson;
  const time = timeOf(item.createdAt, language);
  return (
    <div className="message" data-head={head} data-mentions={item.mentionsMe} data-state={item.state.kind}>
      <span className="message-margin">
        {head ? (
          <Avatar name={name} />
        ) : (
          <time className="message-quiet-time" dateTime={item.createdAt.toISOString()} aria-hidden="true">
            {clockOf(item.createdAt, language)}
          </time>
        )}
      </span>
      <div className="message-main">
        {head && (
          <div className="message-head">
            <bdi className="message-name">{name}</bdi>
            <time dateTime={item.createdAt.toISOString()} title={momentOf(item.createdAt, language)}>
              {time}
            </time>
          </div>
        )}
        {editor ?? <Body item={item} />}
        <Failure item={item} />
      </div>
      <Marks item={item} />
      {!editor && !item.deleted && <Actions item={item} actions={actions} />}
    </div>
  );
});

function Body({ item }: { readonly item: MessageItem }) {
  const text = useText();
  const [whole, setWhole] = useState(false);
  if (item.deleted) return <p className="message-deleted">{text.timeline.deleted}</p>;
  const shown = whole ? item.text : folded(item.text);
  const folds = folded(item.text) !== item.text;
  return (
    <div className="message-text" dir="auto">
      {piecesOf(shown).map((piece, index) =>
        piece.kind === "Link" ? (
          <a key={index} href={piece.href} target="_blank" rel="noopener noreferrer nofollow">
            {piece.text}
          </a>
        ) : (
          piece.text
        ),
      )}
      {folds && !whole && "…"}
      {item.edited && <span className="message-edited"> ({text.timeline.edited})</span>}
      {folds && (
        <>
          {" "}
          <Button kind="link" onClick={() => setWhole(!whole)}>
            {whole ? text.timeline.less : text.timeline.more}
          </Button>
        </>
      )}
    </div>
  );
}

/** The part of a text that is shown at first. */
export function folded(text: string): string {
  const lines = text.split("\n");
  const part = lines.length > FOLD_LINES ? lines.slice(0, FOLD_LINES).join("\n") : text;
  return part.length > FOLD_CHARACTERS ? [...part.slice(0, FOLD_CHARACTERS)].join("") : part;
}

/** What the server refused, with the ways on. */
function Failure({ item }: { readonly item: MessageItem }) {
  const text = useText();
  const client = useClient();
  const task = useTask();
  const change = item.change?.state.kind === "Failed" ? item.change : undefined;
  const state: SendState | undefined = item.state.kind === "Failed" ? item.state : change?.state;
  if (state?.kind !== "Failed") return null;
  const id = change ? change.id : item.clientMessageId;
  return (
    <div className="trouble message-trouble" role="alert">
      <span>
        {change ? text.timeline.notChanged : text.timeline.notSent} {reasonText(state.reason, text)}
      </span>
      <Button kind="link" disabled={task.busy} onClick={() => void task.run(() => client.retryFailed(id))}>
        {text.common.retry}
      </Button>
      <Button kind="link" disabled={task.busy} onClick={() => void task.run(() => client.discardFailed(id))}>
        {text.common.discard}
      </Button>
      {task.error !== undefined && <Trouble error={task.error} />}
    </div>
  );
}

/** How far one's own message is, and who has read up to here. */
function Marks({ item }: { readonly item: MessageItem }) {
  const text = useText();
  const [icon, label] = progress(item, text.timeline);
  const readers = item.readersHere;
  return (
    <span className="message-marks">
      {readers.length > 0 && (
        <span className="message-readers" title={text.timeline.readBy(readers.map((reader) => reader.name).join(", "))}>
          <span className="hidden-text">{text.timeline.readBy(readers.map((reader) => reader.name).join(", "))}</span>
          {readers.slice(0, READERS).map((reader) => (
            <Avatar key={reader.id} name={reader.name} size="tiny" />
          ))}
          {readers.length > READERS && <span className="small">+{readers.length - READERS}</span>}
        </span>
      )}
      {item.mine && icon && (
        <span className="message-progress" data-reach={item.reach} title={label}>
          <Icon name={icon} />
          <span className="hidden-text">{label}</span>
        </span>
      )}
    </span>
  );
}

function progress(
  item: MessageItem,
  words: { queued: string; sending: string; sent: string; delivered: string; read: string; notSent: string },
): [IconName | undefined, string] {
  const state = item.state.kind === "Sent" && item.change ? item.change.state.kind : item.state.kind;
  switch (state) {
    case "Queued":
      return ["waiting", words.queued];
    case "Sending":
      return ["waiting", words.sending];
    case "Failed":
      return ["failed", words.notSent];
    case "Sent":
      if (item.deleted) return [undefined, ""];
      if (item.reach === "Read") return ["delivered", words.read];
      return item.reach === "Delivered" ? ["delivered", words.delivered] : ["sent", words.sent];
  }
}

function Actions({ item, actions }: { readonly item: MessageItem; readonly actions: MessageActions }) {
  const text = useText();
  const sent = item.seq !== undefined;
  return (
    <div className="message-actions" role="group" aria-label={text.timeline.actions}>
      {item.mine && <IconButton tabIndex={-1} icon="edit" label={text.timeline.edit} onClick={() => actions.edit(item)} />}
      <IconButton tabIndex={-1} icon="copy" label={text.timeline.copy} onClick={() => actions.copy(item)} />
      {sent && <IconButton tabIndex={-1} icon="eye" label={text.timeline.readers} onClick={() => actions.readers(item)} />}
      {sent && (
        <IconButton tabIndex={-1} icon="unread" label={text.timeline.markUnread} onClick={() => actions.markUnread(item)} />
      )}
      {item.mine && <IconButton tabIndex={-1} icon="close" label={text.timeline.remove} onClick={() => actions.remove(item)} />}
    </div>
  );
}
