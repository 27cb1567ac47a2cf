/** Profiles of people who were seen in a room. */

import { toBinary } from "@bufbuild/protobuf";
import { type User, UserSchema } from "../gen/madang/v1/user_pb.js";
import { decode } from "./rooms.js";
import type { Tx } from "./tables.js";

/** Stores profiles by their number. */
export async function upsert(tx: Tx, users: readonly User[]): Promise<void> {
  for (const user of users) {
    const { id: userId, profileRev } = user;
    const held = await rev(tx, userId);
    if (held === undefined || profileRev >= held) {
      await tx.put("users", { userId, profileRev, profile: toBinary(UserSchema, user) });
    }
  }
}

/** A profile. */
export async function find(tx: Tx, userId: string): Promise<User | undefined> {
  return decode(UserSchema, (await tx.get("users", userId))?.profile);
}

/** The number of a profile that is held. */
export async function rev(tx: Tx, userId: string): Promise<bigint | undefined> {
  return (await tx.get("users", userId))?.profileRev;
}

/** Everybody held. */
export async function ids(tx: Tx): Promise<string[]> {
  return (await tx.list("users")).map((row) => row.userId);
}
