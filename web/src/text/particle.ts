/** The first syllable of the Korean block, and syllables with one final consonant more. */
const FIRST = 0xac00;
const LAST = 0xd7a3;
const FINALS = 28;
/** Place of ㄹ among the final consonants. */
const RIEUL = 8;

/**
 * The particle that a name takes: `closed` after a final consonant, else `open`. After ㄹ the pair 으로 and 로 takes 로. Names
 * that do not end in Korean take `open`.
 */
export function particle(name: string, closed: string, open: string): string {
  const code = name.trimEnd().codePointAt(name.trimEnd().length - 1) ?? 0;
  if (code < FIRST || code > LAST) return open;
  const final = (code - FIRST) % FINALS;
  if (final === 0 || (final === RIEUL && closed === "으로")) return open;
  return closed;
}
