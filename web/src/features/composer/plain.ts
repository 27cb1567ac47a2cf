/** What no message may have and nobody sees: control characters, and those that turn the direction of a line. Pasted, they go. */
const UNSEEN = /(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** A text as it may be sent; line ends of all systems are one. */
export function plain(text: string): string {
  return text.replace(/\r\n?/gu, "\n").replace(UNSEEN, "");
}
