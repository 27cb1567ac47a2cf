/** The beginning of a stream: what the client says it has, and what the server's answer means for that. */

import { create } from "@bufbuild/protobuf";
import { ClientError } from "../error.js";
import { type Hello, HelloSchema, type Welcome } from "../gen/madang/v1/sync_pb.js";
import * as meta from "../store/meta.js";
import * as people from "../store/people.js";
import * as rooms from "../store/rooms.js";
import type { Store, Write } from "../store/store.js";
import * as changes from "./changes.js";

/** Cursors in a Hello; the server takes no more. */
const CURSORS = 200;

/** A stream begins: what the client has. Rooms that it names come with their rows. */
export function hello(store: Store, focus: ReadonlySet<string>): Promise<Hello> {
  return store.write("relaxed", async (w) => {
    w.repairs.begin();
    return create(HelloSchema, {
      epoch: await meta.text(w.tx, "epoch"),
      userRev: await meta.number(w.tx, "user_rev"),
      watermark: await meta.number(w.tx, "watermark"),
      rooms: await rooms.cursors(w.tx, focus, CURSORS),
    });
  });
}

/** Takes the Welcome in; tells whether the person's own profile is held. Fails when the store belongs to another person. */
export async function take(store: Store, { userId, epoch }: Welcome): Promise<boolean> {
  const known = await store.write("strict", async (w) => {
    const taken = await takeHistory(w, userId, epoch);
    return taken ? await people.knows(w.tx, userId) : undefined;
  });
  if (known === undefined) {
    throw new ClientError("Conflict", "the store belongs to another person", { local: "StoreOfAnother" });
  }
  return known;
}

/** Takes a history in; `false` when the store belongs to another person of it. */
async function takeHistory(w: Write, userId: string, epoch: string): Promise<boolean> {
  const held = await meta.text(w.tx, "epoch");
  if (w.me !== userId) {
    if (w.me !== "" && held === epoch) return false;
    // Another history, in which the person may have got another id; the token says who it is.
    if (w.me !== "") await w.tx.clear("users");
    await meta.set(w.tx, "user_id", userId);
    w.me = userId;
  }
  if (held === epoch) return true;
  if (held !== "") await wipe(w);
  await meta.set(w.tx, "epoch", epoch);
  await changes.changeEpoch(w, epoch);
  w.changes.everything = true;
  return true;
}

/** Rows, marks and numbers belong to a history that is gone. What was typed stays. */
async function wipe(w: Write): Promise<void> {
  for (const table of ["rooms", "messages", "members", "receipts", "marks", "islands"] as const) await w.tx.clear(table);
  await people.outdateHistory(w.tx);
  await meta.set(w.tx, "user_rev", 0n);
  await meta.set(w.tx, "watermark", 0n);
  w.repairs.forget();
}
