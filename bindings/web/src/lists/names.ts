/** People as a screen names them. */

import { RoomKind, type Room } from "../gen/madang/v1/room_pb.js";
import * as people from "../store/people.js";
import type { Tx } from "../store/tables.js";
import type { Person } from "./item.js";

/** Looks people up, and notes whom it did not find. */
export class Names {
  readonly missing = new Set<string>();
  readonly #known = new Map<string, Promise<Person>>();

  constructor(private readonly tx: Tx) {}

  person(id: string): Promise<Person> {
    const person = this.#known.get(id) ?? this.#find(id);
    this.#known.set(id, person);
    return person;
  }

  people(ids: readonly string[]): Promise<Person[]> {
    return Promise.all(ids.map((id) => this.person(id)));
  }

  async #find(id: string): Promise<Person> {
    const user = id === "" ? undefined : await people.find(this.tx, id);
    if (!user && id !== "") this.missing.add(id);
    return { id, name: user?.displayName || user?.login || "" };
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
