/** Who is in a room, admins first, then by name. */

import { noteRows } from "../changes.js";
import type { Core } from "../engine/core.js";
import { MemberState } from "../gen/madang/v1/room_pb.js";
import { RoomService } from "../gen/madang/v1/room_service_pb.js";
import { failureOf, mayRepeat } from "../net/failure.js";
import * as messages from "../store/messages.js";
import * as people from "../store/people.js";
import * as rooms from "../store/rooms.js";
import type { Read } from "../store/store.js";
import { delayMs, sleep } from "../time.js";
import type { RoomMember } from "./item.js";
import { FollowedList, type LiveList } from "./list.js";
import { memberOf, unknownUser, userOf } from "./words.js";

/** Members in one page; the server gives no more. */
const PAGE = 500;

/** Who is in a room: from the store where it holds them all, else from the server. */
export class MemberList extends FollowedList<RoomMember> {
  readonly #closed = new AbortController();

  private constructor(
    core: Core,
    private readonly roomId: string,
  ) {
    super(core, core.observers.listen(roomId), (item) => item.member.userId);
  }

  static async open(core: Core, roomId: string): Promise<LiveList<RoomMember>> {
    const list = new MemberList(core, roomId);
    const state = await core.store.read((r) => rooms.load(r.tx, roomId));
    const isTold = state.rev > 0n && state.room !== undefined && !state.room.large;
    await list.begin();
    if (!isTold) void list.#fetch();
    return list;
  }

  override close(): void {
    this.#closed.abort();
    super.close();
  }

  protected async read(): Promise<readonly RoomMember[]> {
    const { members, missing } = await this.core.store.read((r) => readMembers(r, this.roomId));
    this.core.wantPeople(missing);
    return members;
  }

  /** Fetches all members, as soon as there is a connection. */
  async #fetch(): Promise<void> {
    const { signal } = this.#closed;
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await this.core.online.until((online) => online, signal);
        return await fetchMembers(this.core, this.roomId);
      } catch (error) {
        if (!mayRepeat(failureOf(error))) return;
        await sleep(delayMs(this.core.backoff, failures), signal);
      }
    }
  }
}

async function readMembers(r: Read, roomId: string): Promise<{ members: RoomMember[]; missing: string[] }> {
  const missing: string[] = [];
  const members: RoomMember[] = [];
  for (const member of await messages.members(r.tx, roomId)) {
    if (member.state !== MemberState.JOINED) continue;
    const user = await people.find(r.tx, member.userId);
    if (!user) missing.push(member.userId);
    members.push({ user: user ? userOf(user) : unknownUser(member.userId), member: memberOf(member) });
  }
  const rank = ({ user, member }: RoomMember) =>
    [member.role === "Admin" ? "0" : "1", (user.displayName || user.login).toLowerCase(), member.userId] as const;
  const keyed = members.map((item) => ({ item, key: rank(item).join("\0") }));
  keyed.sort((one, other) => (one.key < other.key ? -1 : 1));
  return { members: keyed.map(({ item }) => item), missing };
}

/** Fetches all members into the store. Whoever is held as one, and was not at the time of the pages, has left untold. */
async function fetchMembers(core: Core, roomId: string): Promise<void> {
  const found = new Set<string>();
  let [pageToken, asOf]: [string, bigint | undefined] = ["", undefined];
  do {
    const request = { roomId, pageSize: PAGE, pageToken };
    const page = await core.connection.call(RoomService, (caller, options) => caller.listMembers(request, options));
    for (const { userId } of page.members) found.add(userId);
    asOf ??= page.snapshotRev;
    await core.store.write("relaxed", async (w) => {
      noteRows(w.changes, roomId, { people: page.members.map(({ userId }) => userId) });
      await messages.upsertMembers(w.tx, roomId, page.members);
    });
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  const rev = asOf;
  await core.store.write("relaxed", async (w) => {
    const gone = await messages.dropMembers(w.tx, roomId, found, rev);
    if (gone.length > 0) noteRows(w.changes, roomId, { people: gone });
  });
}
