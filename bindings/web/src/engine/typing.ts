/** Who writes where. Lost with the page and with the connection: nothing durable depends on it. */

import { Cell } from "../observed.js";

/** How long somebody is shown as writing after the news; counted here, because the server's clock may be another. */
const SHOWN_MS = 5_000;
/** Telling it again sooner is wasted: a server takes one a second, and others are shown it for longer. */
const SAY_MS = 2_000;
/** Rooms that are remembered; more are not on a screen. */
const ROOMS = 1_000;

/** Who writes where, and until when that is shown. */
export class TypingBoard {
  readonly #board = new Map<string, Map<string, ReturnType<typeof setTimeout>>>();
  readonly #shown = new Map<string, Cell<readonly string[]>>();
  readonly #said = new Map<string, number>();

  /** Who is writing in a room, by id. */
  in(roomId: string): Cell<readonly string[]> {
    const cell = this.#shown.get(roomId) ?? new Cell(this.#people(roomId));
    this.#shown.set(roomId, cell);
    return cell;
  }

  /** Somebody is writing. */
  hear(roomId: string, userId: string): void {
    const people = this.#board.get(roomId) ?? new Map<string, ReturnType<typeof setTimeout>>();
    if (people.size === 0 && this.#board.size >= ROOMS) return;
    this.#board.set(roomId, people);
    clearTimeout(people.get(userId));
    people.set(
      userId,
      setTimeout(() => this.stop(roomId, userId), SHOWN_MS),
    );
    this.#tell(roomId);
  }

  /** They are not writing any more: what they wrote has come, or the time is over. */
  stop(roomId: string, userId: string): void {
    const people = this.#board.get(roomId);
    if (!people?.has(userId)) return;
    clearTimeout(people.get(userId));
    people.delete(userId);
    if (people.size === 0) this.#board.delete(roomId);
    this.#tell(roomId);
  }

  /** Nobody is shown any more. */
  end(): void {
    for (const people of this.#board.values()) for (const timer of people.values()) clearTimeout(timer);
    this.#board.clear();
  }

  /** Whether the person's own writing may be told again: once in a while for each room. */
  maySay(roomId: string, nowMs = Date.now()): boolean {
    for (const [room, at] of this.#said) if (Math.abs(nowMs - at) >= SAY_MS) this.#said.delete(room);
    if (this.#said.has(roomId)) return false;
    this.#said.set(roomId, nowMs);
    return true;
  }

  #people(roomId: string): readonly string[] {
    return [...(this.#board.get(roomId)?.keys() ?? [])].sort();
  }

  #tell(roomId: string): void {
    const [cell, people] = [this.#shown.get(roomId), this.#people(roomId)];
    if (cell && cell.now.join() !== people.join()) cell.set(people);
  }
}
