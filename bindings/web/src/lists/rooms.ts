/** The room list. */

import { type Changes, noChanges } from "../changes.js";
import type { Core } from "../engine/core.js";
import { MessageSchema } from "../gen/madang/v1/message_pb.js";
import { MemberRole } from "../gen/madang/v1/room_pb.js";
import { decode } from "../store/rooms.js";
import type { Read } from "../store/store.js";
import { badgeOf, type Glance, glanceOf, joined, joinedAmong, warmAmong } from "../store/totals.js";
import { dateOf } from "../time.js";
import type { RoomItem } from "./item.js";
import { FollowedList, type LiveList } from "./list.js";
import { itemOf } from "./messages.js";
import { Names, otherOf } from "./names.js";
import { arrange, places, type RoomFilter, type RoomQuery, type RoomSort } from "./query.js";
import { roomKind } from "./words.js";

/** The room list. A batch without a change says that only the total is another. */
export interface RoomList extends LiveList<RoomItem> {
  /** How many rooms the query wants, in the window or not. */
  readonly total: number;
  /** Shows other places. That comes as changes. */
  setWindow(start: number, end: number): void;
  /** Shows other rooms. That comes as changes. */
  setFilter(filter: RoomFilter): void;
  /** Shows rooms in another order. That comes as changes. */
  setSort(sort: RoomSort): void;
}

/** Longest wait of a browser's timer. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A room as a list shows it, and until when it is muted. */
interface Listed {
  readonly item: RoomItem;
  readonly mutedUntilMs: number;
}

/** The room list, read from the store: a room is read again when it has changed, all when names have. */
export class OpenRoomList extends FollowedList<RoomItem> implements RoomList {
  readonly #rooms = new Map<string, Listed>();
  #query: RoomQuery;
  #found = 0;
  #total = 0;
  #mutes: ReturnType<typeof setTimeout> | undefined;

  private constructor(core: Core, query: RoomQuery) {
    super(core, core.observers.listen(), (item) => item.id);
    this.#query = query;
    this.listener.hear({ ...noChanges(), everything: true });
  }

  static async open(core: Core, query: RoomQuery): Promise<RoomList> {
    const list = new OpenRoomList(core, query);
    await list.begin();
    return list;
  }

  get total(): number {
    return this.#total;
  }

  setWindow(start: number, end: number): void {
    this.#ask({ ...this.#query, window: { start, end } });
  }

  setFilter(filter: RoomFilter): void {
    this.#ask({ ...this.#query, filter });
  }

  setSort(sort: RoomSort): void {
    this.#ask({ ...this.#query, sort });
  }

  override close(): void {
    clearTimeout(this.#mutes);
    super.close();
  }

  protected override tellsMore(): boolean {
    const more = this.#total !== this.#found;
    this.#total = this.#found;
    return more;
  }

  protected async read(changes: Changes): Promise<readonly RoomItem[]> {
    const all = changes.everything || changes.people;
    const { rooms, missing } = await this.core.store.read(
      (r) => readRooms(r, all ? undefined : changes.rooms),
      all ? undefined : warmAmong(changes.rooms),
    );
    if (all) this.#rooms.clear();
    for (const roomId of changes.rooms) this.#rooms.delete(roomId);
    for (const room of rooms) this.#rooms.set(room.item.id, room);
    this.core.wantPeople(missing);
    this.#hearMutedAgain();
    const facts = [...this.#rooms.values()].map(({ item }) => ({ ...item, activeMs: item.lastActiveAt.getTime(), item }));
    const order = arrange(this.#query, facts);
    this.#found = order.length;
    const { start, end } = places(this.#query, order.length);
    return order.slice(start, end).map(({ item }) => item);
  }

  #ask(query: RoomQuery): void {
    this.#query = query;
    void this.refresh().catch(() => undefined);
  }

  /** A room is heard again when the time of its muting is over. */
  #hearMutedAgain(): void {
    clearTimeout(this.#mutes);
    const muted = [...this.#rooms.values()].filter(({ item }) => item.muted);
    const untilMs = Math.min(...muted.map((room) => room.mutedUntilMs));
    if (muted.length === 0) return;
    const rooms = new Set(muted.filter((room) => room.mutedUntilMs === untilMs).map(({ item }) => item.id));
    const again = () => this.listener.hear({ ...noChanges(), rooms });
    this.#mutes = setTimeout(again, Math.min(Math.max(0, untilMs - Date.now()) + 1, LONGEST_TIMER_MS));
  }
}

async function readRooms(
  r: Read,
  only: ReadonlySet<string> | undefined,
): Promise<{ rooms: Listed[]; missing: ReadonlySet<string> }> {
  const names = new Names(r.tx);
  const [rows, badges] = await Promise.all([r.tx.list("drafts"), only ? joinedAmong(r.tx, only) : joined(r.tx)]);
  const drafts = new Map(rows.map(({ roomId, text }) => [roomId, text]));
  const glances = badges.map(glanceOf).filter((glance) => glance !== undefined);
  const rooms = await Promise.all(glances.map((glance) => listed(r, glance, names, drafts)));
  return { rooms, missing: names.missing };
}

/** Rooms that the person has left or was removed from and that are still known, the most recently active first. */
export async function formerRooms(core: Core): Promise<RoomItem[]> {
  const rooms = await core.store.read(async (r) => {
    const names = new Names(r.tx);
    const drafts = new Map((await r.tx.list("drafts")).map(({ roomId, text }) => [roomId, text]));
    const rows = (await r.tx.list("rooms")).filter((row) => !row.joined && !row.ended);
    const found: Listed[] = [];
    for (const row of rows) {
      const glance = glanceOf(badgeOf(row, undefined));
      if (glance) found.push(await listed(r, glance, names, drafts));
    }
    return found;
  });
  return arrange(
    {},
    rooms.map(({ item }) => ({ ...item, activeMs: item.lastActiveAt.getTime() })),
  ).map(({ activeMs: _, ...item }) => item);
}

async function listed(
  r: Read,
  glance: Glance,
  names: Names,
  drafts: ReadonlyMap<string, string>,
): Promise<Listed> {
  const { row, room, membership } = glance;
  const last = decode(MessageSchema, row.last);
  const mutedUntilMs = membership?.muteUntil ? dateOf(membership.muteUntil).getTime() : 0;
  const item: RoomItem = {
    id: row.roomId,
    kind: roomKind(room.kind),
    name: await names.room(room, r.me),
    topic: room.topic,
    unread: glance.unread,
    mentions: glance.mentions,
    lastMessage: last && (await itemOf(last, r.me, names)),
    muted: mutedUntilMs > Date.now(),
    memberCount: room.memberCount,
    large: room.large,
    admin: membership?.member?.role === MemberRole.ADMIN,
    directUserId: otherOf(room, r.me),
    draft: drafts.get(row.roomId) ?? "",
    lastActiveAt: dateOf(room.lastActiveAt),
  };
  return { item, mutedUntilMs };
}
