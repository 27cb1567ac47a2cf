/** People as a screen names them. */

import { RoomKind, type Room } from "../gen/madang/v1/room_pb.js";
import * as people from "../store/people.js";
import type { Tx } from "../store/tables.js";
import type { Person } from "./item.js";

/** Looks people up, and notes whom it did not find. */
export class Names {
  readonly missing = new Set<string>();
  readonly #known = new Map<string, Person>();

  constructor(private readonly tx: Tx) {}

  async person(id: string): Promise<Person> {
    const held = this.#known.get(id);
    if (held) return held;
    const user = id === "" ? undefined : await people.find(this.tx, id);
    if (!user && id !== "") this.missing.add(id);
    const person = { id, name: user?.displayName || user?.login || "" };
    this.#known.set(id, person);
    return person;
  }

  async people(ids: readonly string[]): Promise<Person[]> {
    const found: Person[] = [];
    for (const id of ids) found.push(await this.person(id));
    return found;
  }

  /** The shown name of a room: in a direct room that of the other person. */
  async room(room: Room, me: string): Promise<string> {
    const other = otherOf(room, me);
    return other === "" ? room.name : (await this.person(other)).name;
  }
}

/** The other person of a direct room; empty elsewhere. */
export function otherOf(room: Room, me: string): string {
  return room.kind === RoomKind.DM ? (room.directUserIds.find((id) => id !== me) ?? "") : "";
}
