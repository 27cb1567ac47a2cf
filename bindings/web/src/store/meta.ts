/** What is remembered beside the rows. */

import type { Tx } from "./tables.js";

/** What it is remembered by. */
export type MetaText = "device_id" | "user_id" | "epoch";
/** What it is remembered by. */
export type MetaNumber = "user_rev" | "watermark" | "profiles_changed" | "kept_small_ms";

/** A text; empty: not remembered. */
export async function text(tx: Tx, key: MetaText): Promise<string> {
  const row = await tx.get("meta", key);
  return typeof row?.value === "string" ? row.value : "";
}

/** A number; 0: not remembered. */
export async function number(tx: Tx, key: MetaNumber): Promise<bigint> {
  const row = await tx.get("meta", key);
  return typeof row?.value === "bigint" ? row.value : 0n;
}

/** Remembers. */
export async function set(tx: Tx, key: MetaText | MetaNumber, value: string | bigint): Promise<void> {
  await tx.put("meta", { key, value });
}
