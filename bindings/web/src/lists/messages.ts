/** How a row or an entry of the outbox becomes an item. */

import { requestOf } from "../engine/changes.js";
import { type Message, MessageKind } from "../gen/madang/v1/message_pb.js";
import { DeleteMessageRequestSchema, EditMessageRequestSchema, SendMessageRequestSchema } from "../gen/madang/v1/message_service_pb.js";
import { reasonName } from "../net/failure.js";
import { ACKNOWLEDGED, type Entry, FAILED, kindOf, QUEUED } from "../store/outbox.js";
import { dateOf } from "../time.js";
import type { MessageItem, SendState, TimelineItem } from "./item.js";
import type { Names } from "./names.js";
import { systemKind } from "./words.js";

/** A message of one's own is recognised by the client's id, from when it is typed; anything else by its position. */
function keyOf(seq: number | undefined, mine: boolean, clientMessageId: string): string {
  return mine && clientMessageId !== "" ? `own:${clientMessageId}` : `seq:${seq ?? 0}`;
}

/** A row as an item. */
export async function itemOf(message: Message, me: string, names: Names): Promise<TimelineItem> {
  const { clientMessageId, system } = message;
  const [seq, createdAt, text] = [Number(message.seq), dateOf(message.createdAt), message.body?.text ?? ""];
  if (system) {
    return {
      kind: "Notice",
      key: keyOf(seq, false, ""),
      seq,
      createdAt,
      notice: systemKind(system.kind),
      actor: await names.person(system.actorId || message.senderId),
      people: await names.people(system.userIds),
      params: { ...system.params },
    };
  }
  const sender = await names.person(message.senderId);
  if (![MessageKind.UNSPECIFIED, MessageKind.TEXT, MessageKind.NOTICE].includes(message.kind)) {
    return { kind: "Unsupported", key: keyOf(seq, false, ""), seq, createdAt, sender, messageKind: message.kind, text };
  }
  const mine = message.senderId === me;
  return {
    kind: "Message",
    key: keyOf(seq, mine, clientMessageId),
    seq,
    clientMessageId,
    sender,
    mine,
    text,
    createdAt,
    edited: message.editedAt !== undefined,
    deleted: message.tombstone !== undefined,
    replyToSeq: Number(message.replyToSeq),
    mentionsMe: message.mentionsAll || message.mentionedUserIds.includes(me),
    state: { kind: "Sent" },
    change: undefined,
    reach: "Nobody",
    readersHere: [],
    rev: Number(message.rev),
  };
}

/** An entry of the outbox as an item. */
export async function echoOf(entry: Entry, me: string, names: Names): Promise<MessageItem> {
  const request = requestOf(SendMessageRequestSchema, entry);
  const seq = entry.state === ACKNOWLEDGED ? Number(entry.seq) : undefined;
  return {
    kind: "Message",
    key: keyOf(seq, true, entry.changeId),
    seq,
    clientMessageId: entry.changeId,
    sender: await names.person(me),
    mine: true,
    text: request.body?.text ?? "",
    createdAt: new Date(entry.createdMs),
    edited: false,
    deleted: false,
    replyToSeq: Number(request.replyToSeq),
    mentionsMe: false,
    state: sendStateOf(entry),
    change: undefined,
    reach: "Nobody",
    readersHere: [],
    rev: 0,
  };
}

/** How far an entry is, as a screen shows it. */
export function sendStateOf({ state, reason, message }: Entry): SendState {
  if (state === FAILED) return { kind: "Failed", reason: reasonName(reason), message };
  return { kind: state === ACKNOWLEDGED ? "Sent" : state === QUEUED ? "Queued" : "Sending" };
}

/** Lays a change that waits in the outbox over the message that it changes. A later one lies over an earlier. */
export function layOver(message: MessageItem, entry: Entry): MessageItem {
  const state = sendStateOf(entry);
  const deletes = kindOf(entry) === "Delete";
  const changed = { ...message, change: { id: entry.changeId, deletes, state } };
  if (state.kind === "Failed") return changed;
  if (deletes) return { ...changed, text: "", deleted: true };
  return { ...changed, text: requestOf(EditMessageRequestSchema, entry).body?.text ?? "", edited: true };
}

/** Whether a change in the outbox is one of this message. */
export function isOf(entry: Entry, message: MessageItem): boolean {
  if (entry.target !== "") return message.mine && message.clientMessageId === entry.target;
  return message.seq === positionOf(entry);
}

/** The position by which an edit or a deletion names its message; 0: it does not. */
export function positionOf(entry: Entry): number {
  const edits = kindOf(entry) === "Edit";
  return Number(requestOf(edits ? EditMessageRequestSchema : DeleteMessageRequestSchema, entry).seq);
}
