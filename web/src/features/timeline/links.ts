/** Links in a message. Only http and https: nothing that runs, and nothing that hides where it leads. */

/** A piece of a message. */
export type Piece = { readonly kind: "Text"; readonly text: string } | { readonly kind: "Link"; readonly text: string; readonly href: string };

/** Beyond that an address is text: browsers refuse longer ones anyway. */
const LONGEST = 2048;

const LINK = /https?:\/\/[^\s<>"'`\u0000-\u001f\u200b-\u200f\u202a-\u202e\u2060-\u2069]+/giu;

/** What ends a sentence is not of its link; a closing bracket is, when it was opened inside. */
function trimmed(link: string): string {
  let end = link.length;
  while (end > 0) {
    const last = link[end - 1] ?? "";
    if (".,;:!?…。、，".includes(last)) end -= 1;
    else if (last === ")" && count(link.slice(0, end), ")") > count(link.slice(0, end), "(")) end -= 1;
    else if (last === "]" && count(link.slice(0, end), "]") > count(link.slice(0, end), "[")) end -= 1;
    else break;
  }
  return link.slice(0, end);
}

function count(text: string, letter: string): number {
  return text.split(letter).length - 1;
}

/** The address of a link, if it is one to follow. A name with `user@` in front is not: it shows one host and leads to another. */
function hrefOf(link: string): string | undefined {
  if (link.length > LONGEST) return undefined;
  try {
    const url = new URL(link);
    return (url.protocol === "http:" || url.protocol === "https:") && !url.username && !url.password ? url.href : undefined;
  } catch {
    return undefined;
  }
}

/** Cuts a message into text and links. Together the pieces are the message. */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let done = 0;
  for (const match of text.matchAll(LINK)) {
    const link = trimmed(match[0]);
    const href = hrefOf(link);
    if (!href) continue;
    if (match.index > done) pieces.push({ kind: "Text", text: text.slice(done, match.index) });
    pieces.push({ kind: "Link", text: link, href });
    done = match.index + link.length;
  }
  if (done < text.length) pieces.push({ kind: "Text", text: text.slice(done) });
  return pieces;
}
