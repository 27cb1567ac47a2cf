/** Spans: every durable frame states the number before it and after it. */

/** What to do with a span. */
export type Verdict =
  /** It joins what is held. */
  | "Apply"
  /** It is held already. */
  | "Drop"
  /** Something before it is missing. */
  | "Hole";

/**
 * Compares a span with the number held. A span may begin earlier than that: what it brings are whole states, and everything in
 * it is told by it.
 */
export function verdictOf(from: bigint, to: bigint, held: bigint): Verdict {
  if (to <= held) return "Drop";
  return from <= held ? "Apply" : "Hole";
}
