/** What a person does, put into the store. */

import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import type { Draft } from "./client.js";
import * as changes from "./engine/changes.js";
import type { Core } from "./engine/core.js";
import { kindFor } from "./engine/kinds.js";
import { ClientError } from "./error.js";
import { ErrorReason } from "./gen/madang/v1/error_pb.js";
import { MessageKind } from "./gen/madang/v1/message_pb.js";
import { DeleteMessageRequestSchema, EditMessageRequestSchema, type SendMessageRequest, SendMessageRequestSchema } from "./gen/madang/v1/message_service_pb.js";
import { keyOf, positionOf } from "./given.js";
import type { ChangeKind, MessageKey } from "./lists/item.js";
import { refused } from "./net/failure.js";
import * as marks from "./store/marks.js";
import * as messages from "./store/messages.js";
import * as outbox from "./store/outbox.js";
import * as rooms from "./store/rooms.js";
import type { Warm, Write } from "./store/store.js";
import { type Mark, markOf } from "./sync/mark.js";
import { isJoined, type RoomState } from "./sync/room.js";
import { newId } from "./time.js";

/** Puts a change in, under this id, which is the answer. */
export async function change<D extends DescMessage>(
  core: Core,
  kind: ChangeKind,
  request: MessageShape<D>,
  changeId = newId(),
): Promise<string> {
  changes.check(kindFor(kind).schema, request);
  await core.put((w) => changes.put(w, kind, request, { changeId, nowMs: Date.now() }));
  return changeId;
}

/** Sends a message. */
export async function send(core: Core, roomId: string, draft: Draft | string): Promise<string> {
  const { replyTo = 0, ...written } = draftOf(draft);
  const clientMessageId = newId();
  const request = create(SendMessageRequestSchema, { roomId, clientMessageId, ...written, replyToSeq: positionOf(replyTo) });
  check(SendMessageRequestSchema, request);
  const seenSeq = BigInt(core.seen(roomId));
  await core.put(async (w) => {
    await seen(w, request, seenSeq);
    await putDraft(w, roomId, "");
    await changes.put(w, "Send", request, { changeId: clientMessageId, nowMs: Date.now() });
  }, warmSeen(roomId));
  return clientMessageId;
}

/** Only what was in front of the person, in a room held complete, may move their mark. */
async function seen(w: Write, request: SendMessageRequest, seenSeq: bigint): Promise<void> {
  const state = await rooms.load(w.tx, request.roomId);
  if (seenSeq === 0n || state.rev !== state.headRev) return;
  request.seenSeq = seenSeq;
  request.seenGeneration = marks.shown(markOf(state.membership), await marks.find(w.tx, request.roomId)).generation;
}

/** Begins to read what `seen` asks for. */
function warmSeen(roomId: string): Warm {
  return (tx) => {
    for (const table of ["rooms", "marks"] as const) tx.warm(table, roomId);
  };
}

/** Replaces the text of one's own message. */
export async function edit(core: Core, roomId: string, message: MessageKey, draft: Draft | string): Promise<string> {
  const key = keyOf(message);
  const { replyTo: _, ...written } = draftOf(draft);
  const request = create(EditMessageRequestSchema, { roomId, seq: 1n, ...written });
  check(EditMessageRequestSchema, request);
  return changeMessage(core, (w, id) => changes.edit(w, key, request, id));
}

/** Deletes a message for everybody. */
export async function del(core: Core, roomId: string, message: MessageKey): Promise<string> {
  const key = keyOf(message);
  const request = create(DeleteMessageRequestSchema, { roomId, seq: 1n });
  changes.check(DeleteMessageRequestSchema, request);
  return changeMessage(core, (w, id) => changes.del(w, key, request, id));
}

async function changeMessage(
  core: Core,
  put: (w: Write, id: { changeId: string; nowMs: number }) => Promise<string | undefined>,
): Promise<string> {
  const id = await core.put((w) => put(w, { changeId: newId(), nowMs: Date.now() }));
  if (id === undefined) throw refused(ErrorReason.MESSAGE_NOT_FOUND, "no such message is known here");
  return id;
}

function draftOf(draft: Draft | string) {
  const { text, mentions = [], mentionAll = false, replyTo } = typeof draft === "string" ? { text: draft } : draft;
  return { body: { text }, mentionedUserIds: [...mentions], mentionAll, ...(replyTo === undefined ? {} : { replyTo }) };
}

/** Refuses a message that says nothing, and one that breaks a limit. */
function check(schema: DescMessage, request: MessageShape<DescMessage> & { body?: { text: string } | undefined }): void {
  if (!request.body?.text) throw new ClientError("Invalid", "an empty message");
  changes.check(schema, request);
}

/** Keeps what the person began to write; empty: nothing. */
export async function putDraft(w: Write, roomId: string, text: string): Promise<void> {
  w.changes.rooms.add(roomId);
  if (text === "") await w.tx.delete("drafts", roomId);
  else await w.tx.put("drafts", { roomId, text });
}

/** Waits until the server has done a change, or refused it. */
export async function settled(core: Core, changeId: string, signal?: AbortSignal): Promise<number> {
  for (;;) {
    signal?.throwIfAborted();
    const looked = new AbortController();
    const touched = core.entryTouched(changeId, signal ? AbortSignal.any([signal, looked.signal]) : looked.signal);
    // Waited for below, or not at all.
    touched.catch(() => undefined);
    try {
      // What happens after this is heard of.
      const entry = await core.store.read((r) => outbox.find(r.tx, changeId));
      if (!entry) throw new ClientError("NotFound", "no such change is known any more");
      if (entry.state === outbox.ACKNOWLEDGED) return Number(entry.seq);
      if (entry.state === outbox.FAILED) throw refused(entry.reason, entry.message);
      await touched;
    } finally {
      looked.abort();
    }
  }
}

/** Marks everything up to an item as read. */
export function markRead(core: Core, roomId: string, seq: bigint): Promise<void> {
  return mark(core, roomId, async (w, state, shown) => {
    const newest = state.room?.seq ?? 0n;
    const at = seq < newest ? seq : newest;
    if (at <= shown.seq) return undefined;
    const count = at === newest ? state.room?.count : (await messages.find(w.tx, roomId, at))?.count;
    return { unread: false, atSeq: at, mark: { generation: shown.generation, seq: at, count: count ?? shown.count } };
  });
}

/** Marks an item and all after it as unread. */
export function markUnread(core: Core, roomId: string, seq: bigint): Promise<void> {
  return mark(core, roomId, async (w, _, shown) => {
    const count = await countBelow(w, roomId, seq);
    // Without the item the effect is not known before the server answers.
    const lowered = count === undefined ? shown : { generation: shown.generation + 1n, seq: seq - 1n, count };
    return { unread: true, atSeq: seq, mark: lowered };
  });
}

interface Decided {
  readonly unread: boolean;
  readonly atSeq: bigint;
  readonly mark: Mark;
}

async function mark(
  core: Core,
  roomId: string,
  decide: (w: Write, state: RoomState, shown: Mark) => Promise<Decided | undefined>,
): Promise<void> {
  await core.store.write("strict", async (w) => {
    const state = await rooms.load(w.tx, roomId);
    if (!isJoined(state)) return;
    const held = markOf(state.membership);
    const decided = await decide(w, state, marks.shown(held, await marks.find(w.tx, roomId)));
    if (!decided) return;
    const { unread, atSeq } = decided;
    await marks.put(w.tx, { roomId, unread, atSeq, baseGeneration: held.generation, ...decided.mark });
    w.changes.rooms.add(roomId);
  });
  core.ring("marks");
}

/** Countable items below an item, if it or the one before it is held. */
async function countBelow(w: Write, roomId: string, seq: bigint): Promise<bigint | undefined> {
  const before = await messages.find(w.tx, roomId, seq - 1n);
  if (before) return before.count;
  const item = await messages.find(w.tx, roomId, seq);
  return item && (item.kind === MessageKind.SYSTEM ? item.count : item.count - 1n);
}
