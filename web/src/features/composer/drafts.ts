/**
 * What was typed and not sent. The client keeps it; while it is still being written there, it also stands in `sessionStorage`,
 * which no reload overtakes.
 *
 * Always true: at any moment the newest text is in one of the two, and what was sent is in neither.
 */

import type { Client } from "@madang/client";

/** After a key, before the store is written to: whoever types on, or sends, is not held up by that. */
const PAUSE_MS = 200;

const DRAFT = "madang.draft.";
const EDIT = "madang.edit.";

/** A key of one tab: writes at once; where even that is denied, the client's store is all there is. */
function put(key: string, value: string | undefined): void {
  try {
    if (value === undefined) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, value);
  } catch {
    // Full or denied.
  }
}

/** Keeps the draft of one room. */
export class DraftKeeper {
  readonly #client: Pick<Client, "draft" | "setDraft">;
  readonly #roomId: string;
  readonly #pauseMs: number;
  #newest: string | undefined;
  #writing = false;

  constructor(client: Pick<Client, "draft" | "setDraft">, roomId: string, pauseMs = PAUSE_MS) {
    this.#client = client;
    this.#roomId = roomId;
    this.#pauseMs = pauseMs;
  }

  /** What was typed before: what a reload has overtaken, else what the client has. */
  async load(): Promise<string> {
    const overtaken = sessionStorage.getItem(DRAFT + this.#roomId);
    if (overtaken !== null) {
      this.keep(overtaken);
      return overtaken;
    }
    return this.#client.draft(this.#roomId);
  }

  /** Keeps what is typed now; of several in a row the newest. */
  keep(text: string): void {
    put(DRAFT + this.#roomId, text);
    this.#newest = text;
    if (!this.#writing) void this.#write();
  }

  /** It is given to the client, to be sent: from now on it must not be written as a draft. */
  sending(): void {
    this.#newest = undefined;
  }

  /** It was sent, and the client has cleared it. */
  sent(): void {
    put(DRAFT + this.#roomId, undefined);
    this.#newest = undefined;
  }

  async #write(): Promise<void> {
    this.#writing = true;
    do await new Promise((resolve) => setTimeout(resolve, this.#pauseMs));
    while (await this.#writeNewest());
    this.#writing = false;
  }

  /** Tells whether something else was typed meanwhile. */
  async #writeNewest(): Promise<boolean> {
    const text = this.#newest;
    if (text === undefined) return false;
    try {
      await this.#client.setDraft(this.#roomId, text);
    } catch {
      // It stays in the session's storage, and the next key tries again.
      return false;
    }
    if (this.#newest === text) this.sent();
    return this.#newest !== undefined;
  }
}

interface Edit {
  readonly key: string;
  readonly text: string;
}

function edit(roomId: string): Edit | undefined {
  try {
    return JSON.parse(sessionStorage.getItem(EDIT + roomId) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

/** Which message of a room is being edited. */
export function editedKey(roomId: string): string | undefined {
  return edit(roomId)?.key;
}

/** What was typed for a message that is being edited. */
export function editKept(roomId: string, key: string): string | undefined {
  const kept = edit(roomId);
  return kept?.key === key ? kept.text : undefined;
}

/** Keeps what is typed for a message that is being edited. */
export function keepEdit(roomId: string, key: string, text: string): void {
  put(EDIT + roomId, JSON.stringify({ key, text } satisfies Edit));
}

/** The edit was made, or given up. */
export function forgetEdit(roomId: string): void {
  put(EDIT + roomId, undefined);
}
