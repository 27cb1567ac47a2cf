/** Profiles of people who were seen in a room. */

import { toBinary } from "@bufbuild/protobuf";
import { type User, UserSchema } from "../gen/madang/v1/user_pb.js";
import { decode } from "./rooms.js";
import type { Tx } from "./tables.js";

/** Below every number. */
const OUTDATED = -1n;

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

/**
 * A profile has changed: one that is held and older is shown until there is another, and is wanted by the next page too. Tells
 * whether it is.
 */
export async function outdate(tx: Tx, userId: string, profileRev: bigint): Promise<boolean> {
  const row = await tx.get("users", userId);
  if (row === undefined || row.profileRev >= profileRev) return false;
  await tx.put("users", { ...row, profileRev: OUTDATED });
  return true;
}

/** Any profile may have changed; tells whose are held. */
export async function outdateAll(tx: Tx): Promise<string[]> {
  const rows = await tx.list("users");
  await Promise.all(rows.map((row) => tx.put("users", { ...row, profileRev: OUTDATED })));
  return rows.map((row) => row.userId);
}

/** Whose profiles are held and have changed since. */
export async function outdated(tx: Tx): Promise<string[]> {
  return (await tx.list("users")).filter((row) => row.profileRev === OUTDATED).map((row) => row.userId);
}
