/**
 * What a person changes, whatever it is: put into the outbox, taken out of it, refused, tried again, thrown away. How each kind
 * of change is said stands in `kinds.ts`.
 *
 * Always true: a change is in the store before the call that makes it returns; it is said as often as it must be and happens
 * once.
 */

import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { ClientError } from "../error.js";
import { ErrorReason } from "../gen/madang/v1/error_pb.js";
import { type DeleteMessageRequest, DeleteMessageRequestSchema, type EditMessageRequest, EditMessageRequestSchema, type SendMessageRequest, SendMessageRequestSchema } from "../gen/madang/v1/message_service_pb.js";
import type { Message } from "../gen/madang/v1/message_pb.js";
import type { ChangeKind } from "../lists/item.js";
import { violationsOf } from "../net/check.js";
import * as messages from "../store/messages.js";
import * as outbox from "../store/outbox.js";
import { ACKNOWLEDGED, type Entry, FAILED, kindOf, QUEUED, SENDING } from "../store/outbox.js";
import * as rooms from "../store/rooms.js";
import type { Write } from "../store/store.js";
import { type Kind, kindFor } from "./kinds.js";

/** The request of an entry, which this program encoded. */
export function requestOf<D extends DescMessage>(schema: D, entry: Entry): MessageShape<D> {
  return fromBinary(schema, entry.request);
}

/** What an entry says, and how. */
export function read(entry: Entry): { kind: Kind; request: MessageShape<DescMessage> } {
  const kind = kindFor(kindOf(entry));
  return { kind, request: requestOf(kind.schema, entry) };
}

/** Refuses what the server would refuse for its fields, before it goes in. The limits are those of the contract. */
export function check(schema: DescMessage, request: MessageShape<DescMessage>): void {
  const violations = violationsOf(schema, request);
  if (violations.length === 0) return;
  const words = violations.map(({ field, limit }) => `${field}: ${limit}`).join("; ");
  throw new ClientError("Invalid", words, { reason: "InvalidField", violations });
}

/** Puts a change in, and shows what can be foreseen of it. `target`: the message of one's own that it changes. */
export async function put(
  w: Write,
  of: ChangeKind,
  request: MessageShape<DescMessage>,
  { changeId, target = "", nowMs }: { changeId: string; target?: string; nowMs: number },
): Promise<void> {
  const kind = kindFor(of);
  const roomId = kind.roomId(request);
  const entry = { kind: of, roomId, changeId, target, request: toBinary(kind.schema, request) };
  await outbox.put(w.tx, entry, nowMs);
  touch(w, entry);
  await kind.foresee?.(w, request, nowMs);
}

/** What is told of an entry after the commit. */
export function touch(w: Write, { roomId, changeId }: { readonly roomId: string; readonly changeId: string }): void {
  w.changes.rooms.add(roomId);
  w.changes.entries.add(changeId);
}

/** Takes an entry that leaves now; `undefined`: it does not leave, now or ever. */
export async function take(w: Write, entry: Entry): Promise<Entry | undefined> {
  let leaving = entry;
  if (entry.target !== "") {
    const request = await aim(w, entry);
    if (request === "Done") return undefined;
    if (request === "Lost") {
      const missing = "the message that it changes is not known any more";
      await outbox.fail(w.tx, entry.id, ErrorReason.MESSAGE_NOT_FOUND, missing);
      touch(w, entry);
      return undefined;
    }
    leaving = { ...entry, request };
  }
  await outbox.leave(w.tx, leaving);
  touch(w, entry);
  return leaving;
}

/** The server refused an entry. What waits behind it may have lost its ground. */
export async function refused(w: Write, entry: Entry, reason: ErrorReason, message: string): Promise<void> {
  const { kind, request } = read(entry);
  await kind.takeBack?.(w, request);
  touch(w, entry);
  if (kind.endsRoom(reason)) {
    for (const lost of await outbox.failRoom(w.tx, entry.roomId, reason, message)) touch(w, lost);
  } else {
    await outbox.fail(w.tx, entry.id, reason, message);
  }
}

/** Puts an entry that has failed back into the queue; `false`: no such entry has failed. */
export async function retry(w: Write, changeId: string): Promise<boolean> {
  const entry = await failed(w, changeId);
  if (!entry) return false;
  for (const one of await withItsRoom(w, entry)) {
    await outbox.retry(w.tx, one.id);
    touch(w, one);
  }
  const { kind, request } = read(entry);
  await kind.foresee?.(w, request, entry.createdMs);
  return true;
}

/** Throws an entry away that has failed, and what was said of it; `false`: no such entry has failed. */
export async function discard(w: Write, changeId: string): Promise<boolean> {
  const entry = await failed(w, changeId);
  if (!entry) return false;
  for (const one of await withItsRoom(w, entry)) {
    await outbox.remove(w.tx, one.changeId);
    touch(w, one);
  }
  if (kindOf(entry) === "CreateRoom") await rooms.forgetForeseen(w.tx, entry.roomId);
  return true;
}

async function failed(w: Write, changeId: string): Promise<Entry | undefined> {
  const entry = await outbox.find(w.tx, changeId);
  return entry?.state === FAILED ? entry : undefined;
}

/** With a room that could not be made goes all that was meant for it. */
async function withItsRoom(w: Write, entry: Entry): Promise<Entry[]> {
  if (kindOf(entry) !== "CreateRoom") return [entry];
  return (await outbox.waiting(w.tx)).filter((one) => one.roomId === entry.roomId);
}

/** The server has another history: what waits is put as it is to be said there, and what is foreseen is shown again. */
export async function changeEpoch(w: Write, epoch: string): Promise<void> {
  await outbox.doubtAll(w.tx);
  const states = [QUEUED, SENDING, FAILED];
  for (const entry of await outbox.waiting(w.tx)) {
    if (entry.epoch === epoch) continue;
    const { kind, request } = read(entry);
    const translated = translate(kind, entry, request);
    touch(w, entry);
    await outbox.update(w.tx, entry.id, states, { epoch, request: translated ?? entry.request });
    if (translated) {
      await kind.foresee?.(w, request, entry.createdMs);
    } else {
      const message = "the item that it names belongs to a history that is gone";
      await outbox.fail(w.tx, entry.id, ErrorReason.EPOCH_CHANGED, message);
    }
  }
}

/** What an entry says under another epoch, where positions mean other items; `undefined`: it cannot be said there. */
export function translate(kind: Kind, entry: Entry, request: MessageShape<DescMessage>): Uint8Array | undefined {
  if (kind.names && entry.target === "") return undefined;
  const positionless = kind.names ? { seq: 0n } : { replyToSeq: 0n, seenSeq: 0n, seenGeneration: 0n };
  const known = Object.entries(positionless).filter(([field]) => field in request);
  return toBinary(kind.schema, { ...request, ...Object.fromEntries(known) });
}

/** What became of an acknowledged change when the server's history changed. */
export type Fate =
  /** It is still there. */
  | "Kept"
  /** The message is there as it was before the change. */
  | "Undone"
  /** The message is not there, or nobody tells. */
  | "Gone";

/** What became of a change, by the message that the server has where it was. */
export function fateOf(entry: Entry, message: Message | undefined): Fate {
  if (message?.clientMessageId !== outbox.messageId(entry)) return "Gone";
  // Whoever has changed it since has the last word.
  return kindOf(entry) !== "Send" && message.rev < entry.rev ? "Undone" : "Kept";
}

/**
 * Confirms a change that the server still has, and says one again that it no longer has. A message that is there vouches for
 * everything before it; a change of one does not, because another may have been made since.
 */
export async function settleFate(w: Write, entry: Entry, fate: Fate, epoch: string): Promise<void> {
  touch(w, entry);
  if (fate === "Kept" && kindOf(entry) === "Send") await outbox.confirmUntil(w.tx, entry, epoch);
  else if (fate === "Kept") await outbox.update(w.tx, entry.id, [ACKNOWLEDGED], { epoch });
  else if (fate === "Undone") await outbox.reoffer(w.tx, entry, entry.request, epoch);
  else {
    const { kind, request } = read(entry);
    await outbox.reoffer(w.tx, entry, translate(kind, entry, request) ?? entry.request, epoch);
  }
}

/** What is to be changed, as far as it is known here. */
interface Target {
  /** The entry that sends it, if it is one's own and still in the outbox. */
  readonly entry: Entry | undefined;
  /** The client's id of it, if it is one's own. */
  readonly ownId: string;
  /** Its position; 0 until the server has it. */
  readonly seq: bigint;
}

async function targetOf(w: Write, roomId: string, key: string | bigint): Promise<Target | undefined> {
  const own = typeof key === "string";
  const row = own ? await messages.findOwn(w.tx, roomId, key) : await messages.find(w.tx, roomId, key);
  const ownId = own ? key : row?.senderId === w.me ? row.clientMessageId : "";
  const found = ownId === "" ? undefined : await outbox.find(w.tx, ownId);
  const entry = found && kindOf(found) === "Send" && found.roomId === roomId ? found : undefined;
  const seq = own ? (row?.seq ?? entry?.seq) : key;
  return seq === undefined ? undefined : { entry, ownId, seq };
}

/** Whether the server cannot have the message: it never left, or was refused. */
function isHereAlone(entry: Entry): boolean {
  return entry.state === FAILED || (entry.state === QUEUED && !entry.tried);
}

/**
 * Puts an edit in; the answer is the entry that makes it, which is that of the message itself where only this device has it.
 * `undefined`: no such message is known.
 */
export async function edit(
  w: Write,
  key: string | bigint,
  request: EditMessageRequest,
  id: { changeId: string; nowMs: number },
): Promise<string | undefined> {
  const target = await targetOf(w, request.roomId, key);
  if (!target) return undefined;
  const { entry, ownId, seq } = target;
  if (entry && isHereAlone(entry)) {
    await rewrite(w, entry, request);
    return entry.changeId;
  }
  await put(w, "Edit", { ...request, seq } as EditMessageRequest, { ...id, target: ownId });
  return id.changeId;
}

/**
 * Puts a deletion in; the answer is its entry. What only this device has is gone at once, and the entry is done. `undefined`:
 * no such message is known.
 */
export async function del(
  w: Write,
  key: string | bigint,
  request: DeleteMessageRequest,
  id: { changeId: string; nowMs: number },
): Promise<string | undefined> {
  const target = await targetOf(w, request.roomId, key);
  if (!target) return undefined;
  const { entry, ownId, seq } = target;
  const here = entry && isHereAlone(entry);
  if (here) await outbox.remove(w.tx, entry.changeId);
  await put(w, "Delete", { ...request, seq } as DeleteMessageRequest, { ...id, target: here ? "" : ownId });
  if (here) {
    touch(w, entry);
    const done = await outbox.find(w.tx, id.changeId);
    if (done) await outbox.acknowledge(w.tx, done, 0n, 0n, id.nowMs);
  }
  return id.changeId;
}

/** Lets a message that only this device has say something else. */
async function rewrite(w: Write, entry: Entry, edit: EditMessageRequest): Promise<void> {
  const sent: SendMessageRequest = requestOf(SendMessageRequestSchema, entry);
  const { mentionedUserIds, mentionAll } = edit;
  const body = edit.body ? { body: edit.body } : {};
  const request = toBinary(SendMessageRequestSchema, { ...sent, ...body, mentionedUserIds, mentionAll });
  await outbox.update(w.tx, entry.id, [QUEUED, FAILED], { request });
  touch(w, entry);
}

/**
 * Finds the position of the message of one's own that an entry changes, which stood before it in the outbox or was there
 * already. `Done`: the message waits with the change in it, or was thrown away with it. `Lost`: nobody knows the message.
 */
async function aim(w: Write, entry: Entry): Promise<Uint8Array | "Done" | "Lost"> {
  const edits = kindOf(entry) === "Edit";
  const schema = edits ? EditMessageRequestSchema : DeleteMessageRequestSchema;
  const request = requestOf<DescMessage>(schema, entry) as EditMessageRequest | DeleteMessageRequest;
  const at = (seq: bigint) => toBinary<DescMessage>(schema, { ...request, seq } as EditMessageRequest | DeleteMessageRequest);
  const sent = await outbox.find(w.tx, entry.target);
  if (!sent) {
    const row = await messages.findOwn(w.tx, entry.roomId, entry.target);
    if (row) return at(row.seq);
    return request.seq > 0n ? entry.request : "Lost";
  }
  if (sent.state === ACKNOWLEDGED) return at(sent.seq);
  // It was refused, else it would have left before.
  if (edits) {
    await rewrite(w, sent, request as EditMessageRequest);
    await outbox.remove(w.tx, entry.changeId);
  } else {
    await outbox.remove(w.tx, sent.changeId);
    touch(w, sent);
  }
  touch(w, entry);
  return "Done";
}
