/** Who is in a room whose members are not told: asked of a server that says what the test wants. */

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { StorageState } from "../src/client.js";
import { Observers } from "../src/changes.js";
import { Core } from "../src/engine/core.js";
import { Tabs } from "../src/engine/tabs.js";
import { type Member, MemberSchema, MemberState, RoomSchema } from "../src/gen/madang/v1/room_pb.js";
import { ListMembersRequestSchema, ListMembersResponseSchema } from "../src/gen/madang/v1/room_service_pb.js";
import { MemberList } from "../src/lists/members.js";
import { Connection } from "../src/net/connection.js";
import { seal } from "../src/net/envelope.js";
import { Cell } from "../src/observed.js";
import { MemoryBackend } from "../src/store/memory.js";
import * as messages from "../src/store/messages.js";
import * as rooms from "../src/store/rooms.js";
import { Store } from "../src/store/store.js";

const ROOM = "00000000-0000-7000-8000-000000000001";
const memberOf = (userId: string, rev: bigint, state = MemberState.JOINED): Member => create(MemberSchema, { roomId: ROOM, userId, rev, state });

/** The server's pages, the first under the empty token. */
const PAGES = new Map([
  ["", { members: [memberOf("ann", 3n), memberOf("bob", 4n)], nextPageToken: "second", snapshotRev: 10n }],
  ["second", { members: [memberOf("cat", 9n)], nextPageToken: "", snapshotRev: 11n }],
]);

let server: Server;
let core: Core;

beforeEach(async () => {
  server = createServer((asked, answer) => {
    const body: Buffer[] = [];
    asked.on("data", (piece: Buffer) => body.push(piece));
    asked.on("end", () => {
      const { pageToken } = fromBinary(ListMembersRequestSchema, new Uint8Array(Buffer.concat(body).subarray(5)));
      const page = toBinary(ListMembersResponseSchema, create(ListMembersResponseSchema, PAGES.get(pageToken) ?? {}));
      const status = seal(Buffer.from("grpc-status: 0\r\n"));
      status[0] = 0x80;
      answer.writeHead(200, { "content-type": "application/grpc-web+proto" }).end(Buffer.concat([seal(page), status]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const observers = new Observers();
  const store = new Store(new MemoryBackend(), (told) => observers.publish(told));
  const config = { server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, tokens: async () => "token" };
  const backoff = { baseMs: 1, capMs: 1 };
  const [connection, storage] = [new Connection(config, "device", backoff), new Cell<StorageState>({ kind: "Kept" })];
  core = new Core(config, backoff, connection, store, observers, storage, new Tabs(undefined));
  core.online.set(true);
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

test("whoever has left a large room meanwhile is not in it any more", async () => {
  await core.store.write("relaxed", async (w) => {
    const room = create(RoomSchema, { id: ROOM, rev: 8n, large: true });
    await rooms.save(w.tx, { ...(await rooms.load(w.tx, ROOM)), room, rev: 8n, headRev: 8n });
    // Of the last nothing is in the pages, because they came after those were read.
    const held = [memberOf("bob", 2n), memberOf("gone", 5n), memberOf("was gone", 6n, MemberState.LEFT), memberOf("new", 12n)];
    await messages.upsertMembers(w.tx, ROOM, held);
  });
  const list = await MemberList.open(core, ROOM);
  const ids = () => list.items.map(({ member }) => member.userId).join();
  const over = AbortSignal.timeout(5_000);
  while (ids() !== "ann,bob,cat,new") await list.next(over).catch(() => expect(ids()).toBe("ann,bob,cat,new"));
  list.close();
});
