/** People as a screen names them. */

import { RoomKind, type Room } from "../gen/madang/v1/room_pb.js";
import * as people from "../store/people.js";
import type { Tx } from "../store/tables.js";
import type { Person } from "./item.js";

/** Looks people up, and notes whom it did not find. */
export class Names {
  readonly missing = new Set<string>();

  /** `known`: whom a list has found before; it forgets them when profiles have changed. */
  constructor(
    private readonly tx: Tx,
    private readonly known = new Map<string, Person>(),
  ) {}

  async person(id: string): Promise<Person> {
    return this.known.get(id) ?? this.#find(id);
  }

  people(ids: readonly string[]): Promise<Person[]> {
    return Promise.all(ids.map((id) => this.person(id)));
  }

  async #find(id: string): Promise<Person> {
    const user = id === "" ? undefined : await people.find(this.tx, id);
    const person = { id, name: user?.displayName || user?.login || "" };
    if (user || id === "") this.known.set(id, person);
    else this.missing.add(id);
    return person;
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
