/** Rows of rooms: messages, members, receipts. They merge by revision, whatever brings them and in whatever order. */

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Message, MessageSchema } from "../gen/madang/v1/message_pb.js";
import { type Member, MemberSchema, MemberState, type Receipt, ReceiptSchema } from "../gen/madang/v1/room_pb.js";
import { beginningWith, type MemberRow, type ReceiptRow, type Tx } from "./tables.js";

/** Stores messages; of two states of one the greater revision stays. */
export async function upsert(tx: Tx, messages: readonly Message[], me: string): Promise<void> {
  // All at once: each answer takes its time to come.
  const held = await Promise.all(messages.map(({ roomId, seq }) => tx.get("messages", [roomId, Number(seq)])));
  const keyOf = ({ roomId, seq }: Message) => `${roomId}/${seq}`;
  const revs = new Map(messages.map((message, at) => [keyOf(message), held[at]?.rev]));
  for (const message of messages) {
    const { roomId, rev, senderId, clientMessageId } = message;
    const seq = Number(message.seq);
    if (rev > (revs.get(keyOf(message)) ?? -1n)) {
      revs.set(keyOf(message), rev);
      const own = senderId === me && clientMessageId !== "" ? { clientMessageId } : {};
      await tx.put("messages", { roomId, seq, rev, ...own, message: toBinary(MessageSchema, message) });
    }
    if (message.markGeneration !== undefined) await receiptByMessage(tx, message);
  }
}

/**
 * A message that moved its sender's mark is a receipt too, as of the revision at which it was sent: the answer to a repeated
 * send may bring a later state of it before the event that brings the first.
 */
async function receiptByMessage(tx: Tx, { roomId, senderId: userId, seq, rev }: Message): Promise<void> {
  const none = { roomId, userId, rev: 0n, sentSeq: -1n, sentRev: 0n, receipt: new Uint8Array() };
  const held = (await tx.get("receipts", [roomId, userId])) ?? none;
  if (seq > held.sentSeq || (seq === held.sentSeq && rev < held.sentRev)) {
    await tx.put("receipts", { ...held, sentSeq: seq, sentRev: rev });
  }
}

/** Stores member rows by revision. */
export async function upsertMembers(tx: Tx, roomId: string, members: readonly Member[]): Promise<void> {
  for (const member of members) {
    const { userId, rev } = member;
    const held = await tx.get("members", [roomId, userId]);
    if (!held || rev > held.rev) await tx.put("members", { roomId, userId, rev, member: toBinary(MemberSchema, member) });
  }
}

/**
 * Drops the rows of members as of a revision who are none of these people, and tells who they are: large rooms do not tell who
 * leaves. What says that somebody has gone stays.
 */
export async function dropMembers(tx: Tx, roomId: string, but: ReadonlySet<string>, rev: bigint): Promise<string[]> {
  const rows = await tx.list("members", beginningWith(roomId));
  const isIn = (row: MemberRow) => memberOf(row).state === MemberState.JOINED;
  const gone = rows.filter((row) => row.rev <= rev && !but.has(row.userId) && isIn(row)).map(({ userId }) => userId);
  for (const userId of gone) await tx.delete("members", [roomId, userId]);
  return gone;
}

/** Stores receipts by revision. */
export async function upsertReceipts(tx: Tx, roomId: string, receipts: readonly Receipt[]): Promise<void> {
  for (const receipt of receipts) {
    const { userId, rev } = receipt;
    const held = await tx.get("receipts", [roomId, userId]);
    if (held && rev <= held.rev) continue;
    const sent = { sentSeq: held?.sentSeq ?? 0n, sentRev: held?.sentRev ?? 0n };
    await tx.put("receipts", { roomId, userId, rev, ...sent, receipt: toBinary(ReceiptSchema, receipt) });
  }
}

/** Messages of a range, oldest first. */
export async function range(tx: Tx, roomId: string, from: bigint, to: bigint): Promise<Message[]> {
  if (from > to) return [];
  const rows = await tx.list("messages", { from: [roomId, Number(from)], to: [roomId, Number(to)] });
  return rows.map((row) => fromBinary(MessageSchema, row.message));
}

/** One message. */
export async function find(tx: Tx, roomId: string, seq: bigint): Promise<Message | undefined> {
  const row = await tx.get("messages", [roomId, Number(seq)]);
  return row && fromBinary(MessageSchema, row.message);
}

/** A message of one's own, by the client's id. */
export async function findOwn(tx: Tx, roomId: string, id: string): Promise<Message | undefined> {
  const row = await tx.get("messages", [roomId, id], "own");
  return row && fromBinary(MessageSchema, row.message);
}

/** Member rows, those who have gone among them. */
export async function members(tx: Tx, roomId: string): Promise<Member[]> {
  return (await tx.list("members", beginningWith(roomId))).map(memberOf);
}

/** A member row. */
export async function member(tx: Tx, roomId: string, userId: string): Promise<Member | undefined> {
  const row = await tx.get("members", [roomId, userId]);
  return row && memberOf(row);
}

/** Others' marks, with what their own messages say. */
export async function receipts(tx: Tx, roomId: string): Promise<Receipt[]> {
  return (await tx.list("receipts", beginningWith(roomId))).map(receiptOf);
}

/** Another's mark, with what their own messages say. */
export async function receipt(tx: Tx, roomId: string, userId: string): Promise<Receipt | undefined> {
  const row = await tx.get("receipts", [roomId, userId]);
  return row && receiptOf(row);
}

function memberOf(row: MemberRow): Member {
  return fromBinary(MemberSchema, row.member);
}

function receiptOf(row: ReceiptRow): Receipt {
  const receipt = fromBinary(ReceiptSchema, row.receipt);
  receipt.userId = row.userId;
  if (receipt.lastReadSeq < row.sentSeq) Object.assign(receipt, { lastReadSeq: row.sentSeq, rev: row.sentRev });
  return receipt;
}
