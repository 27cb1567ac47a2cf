/**
 * Profiles of people who were seen in a room. Below zero, a profile's number is that of a newer one that was heard of, as
 * `-1 - number`: answers that were read before it are not taken for it, whichever tab reads them.
 */

import { toBinary } from "@bufbuild/protobuf";
import { type User, UserSchema } from "../gen/madang/v1/user_pb.js";
import * as meta from "./meta.js";
import { decode } from "./rooms.js";
import type { Write } from "./store.js";
import type { Tx } from "./tables.js";

/** Outdated, and any number is newer. */
const ANY = -1n;
const NONE = new Uint8Array(0);

/** Stores profiles by their number, as of a moment at which they were true. */
export async function upsert(tx: Tx, users: readonly User[]): Promise<void> {
  await put(tx, users, true);
}

/** Stores profiles that were asked for. Those that may have changed since are shown, and wanted again: tells whose. */
export async function take(w: Write, users: readonly User[], askedAt: bigint): Promise<string[]> {
  w.changes.people = true;
  await put(w.tx, users, (await changesOfAll(w.tx)) === askedAt);
  const rows = await Promise.all(users.map((user) => w.tx.get("users", user.id)));
  return rows.flatMap((row) => (row && row.profileRev < 0n ? [row.userId] : []));
}

async function put(tx: Tx, users: readonly User[], newest: boolean): Promise<void> {
  for (const user of users) {
    const row = await tx.get("users", user.id);
    if (row && user.profileRev < number(row.profileRev)) continue;
    const profileRev = newest ? user.profileRev : ANY;
    await tx.put("users", { userId: user.id, profileRev, profile: toBinary(UserSchema, user) });
  }
}

/** The number that is held, or wanted. */
function number(profileRev: bigint): bigint {
  return profileRev < 0n ? -1n - profileRev : profileRev;
}

/** The same number, wanted. */
function wanted(profileRev: bigint): bigint {
  return profileRev < 0n ? profileRev : -1n - profileRev;
}

/** Shows a profile in place of one that is held, under the same number. */
export async function show(tx: Tx, user: User): Promise<void> {
  const row = await tx.get("users", user.id);
  if (row && row.profile.length > 0) await tx.put("users", { ...row, profile: toBinary(UserSchema, user) });
}

/** A profile. */
export async function find(tx: Tx, userId: string): Promise<User | undefined> {
  const row = await tx.get("users", userId);
  return row && row.profile.length > 0 ? decode(UserSchema, row.profile) : undefined;
}

/** A profile is held. */
export async function knows(tx: Tx, userId: string): Promise<boolean> {
  return ((await tx.get("users", userId))?.profile.length ?? 0) > 0;
}

/** Forgets a profile, but not its number. */
export async function forget(tx: Tx, userId: string): Promise<void> {
  const row = await tx.get("users", userId);
  if (row) await tx.put("users", { ...row, profileRev: wanted(row.profileRev), profile: NONE });
}

/**
 * A profile has changed: one that is held and older is shown until there is another, and is wanted by the next page too. Of one
 * that is not held the number is kept, because an older answer may be on its way. Tells whether it is wanted.
 */
export async function outdate(tx: Tx, userId: string, profileRev: bigint): Promise<boolean> {
  const row = (await tx.get("users", userId)) ?? { userId, profileRev: ANY, profile: NONE };
  if (number(row.profileRev) >= profileRev) return false;
  await tx.put("users", { ...row, profileRev: wanted(profileRev) });
  return row.profile.length > 0;
}

/** Any profile may have changed, also those that are being asked for; tells whose are held. */
export async function outdateAll(tx: Tx): Promise<string[]> {
  return outdateEach(tx, wanted);
}

/** Another history: its numbers have nothing to do with those that are held. */
export async function outdateHistory(tx: Tx): Promise<void> {
  await outdateEach(tx, () => ANY);
}

async function outdateEach(tx: Tx, to: (profileRev: bigint) => bigint): Promise<string[]> {
  await meta.set(tx, "profiles_changed", (await changesOfAll(tx)) + 1n);
  const rows = await tx.list("users");
  await Promise.all(rows.map((row) => tx.put("users", { ...row, profileRev: to(row.profileRev) })));
  return rows.flatMap((row) => (row.profile.length > 0 ? [row.userId] : []));
}

/** How often any profile may have changed. */
export function changesOfAll(tx: Tx): Promise<bigint> {
  return meta.number(tx, "profiles_changed");
}

/** Whose profiles are held and have changed since. */
export async function outdated(tx: Tx): Promise<string[]> {
  const rows = await tx.list("users");
  return rows.flatMap((row) => (row.profileRev < 0n && row.profile.length > 0 ? [row.userId] : []));
}
