/** Mentions: what is written after an @, and whom a message means. */

import type { RoomMember } from "@madang/client";

/** Somebody who can be mentioned; without an id everybody in the room. */
export interface Candidate {
  readonly id: string | undefined;
  readonly name: string;
  readonly hint: string;
}

/** At most so many are offered: more than one reads. */
const OFFERED = 8;

/** What is being written after an @ before the caret, and where the @ stands. */
export function mentionAt(text: string, caret: number): { readonly start: number; readonly typed: string } | undefined {
  const match = /(?:^|[\s(])@([^\s@]{0,40})$/u.exec(text.slice(0, caret));
  const typed = match?.[1];
  return typed === undefined ? undefined : { start: caret - typed.length - 1, typed };
}

/** Who fits what was typed, those first whose name begins with it. */
export function candidates(typed: string, members: readonly RoomMember[], me: string | undefined, all: Candidate): Candidate[] {
  const wanted = typed.toLowerCase();
  const people = members
    .filter(({ user }) => user.id !== me && (user.displayName || user.login))
    .map(({ user }) => ({ id: user.id, name: user.displayName || user.login, hint: user.title || user.login, login: user.login }));
  const rank = (person: { name: string; login: string }) => {
    const name = person.name.toLowerCase();
    if (name.startsWith(wanted) || person.login.toLowerCase().startsWith(wanted)) return 0;
    return name.includes(wanted) ? 1 : 2;
  };
  const found: Candidate[] = people.filter((person) => rank(person) < 2).sort((a, b) => rank(a) - rank(b));
  if (all.name.startsWith(wanted)) found.push(all);
  return found.slice(0, OFFERED);
}

/**
 * Whom a text means: members whose name stands in it after an @. Of several with one name those that were chosen from the list;
 * if none was, nobody: a wrong badge is worse than none.
 */
export function mentioned(text: string, members: readonly RoomMember[], chosen: ReadonlySet<string>, all: string) {
  const byName = new Map<string, string[]>();
  for (const { user } of members) {
    const name = user.displayName || user.login;
    if (name) byName.set(name, [...(byName.get(name) ?? []), user.id]);
  }
  const mentions: string[] = [];
  for (const [name, ids] of byName) {
    if (!stands(text, name)) continue;
    mentions.push(...(ids.length === 1 ? ids : ids.filter((id) => chosen.has(id))));
  }
  return { mentions, mentionAll: stands(text, all) };
}

/** Whether a name stands in a text after an @, as a word of its own; Korean particles may follow it. */
function stands(text: string, name: string): boolean {
  let from = 0;
  for (;;) {
    const at = text.indexOf(`@${name}`, from);
    if (at < 0) return false;
    const after = text.slice(at + name.length + 1, at + name.length + 2);
    const latin = /[A-Za-z0-9]$/u.test(name);
    if (!latin || !/[A-Za-z0-9_]/u.test(after)) return true;
    from = at + 1;
  }
}
