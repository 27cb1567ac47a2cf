import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { SendMessageRequestSchema } from "../src/gen/madang/v1/message_service_pb.js";
import { CreateRoomRequestSchema } from "../src/gen/madang/v1/room_service_pb.js";
import { UpdateProfileRequestSchema } from "../src/gen/madang/v1/user_service_pb.js";
import { violationsOf } from "../src/net/check.js";

const id = (version: string) => `01890a5d-ac96-${version}74b-bcce-b302099a8057`;
const words = (found: readonly { field: string; limit: string }[]) => found.map(({ field, limit }) => `${field}: ${limit}`);

test("all violations of a request come at once, as the server words them", () => {
  const request = create(SendMessageRequestSchema, {
    roomId: "no",
    clientMessageId: id("4"),
    body: { text: "x".repeat(8001), entities: [{ offset: -1, length: 9000 }] },
    mentionedUserIds: [id("7"), "NO"],
    replyToSeq: -1n,
  });
  expect(words(violationsOf(SendMessageRequestSchema, request))).toEqual([
    "room_id: must be a UUID in lower case",
    "client_message_id: must be a version 7 UUID in lower case",
    "body.text: at most 8000 characters",
    "body.entities[0].offset: at least 0",
    "body.entities[0].length: at most 8000",
    "body.entities[0].kind: must be stated",
    "mentioned_user_ids[1]: must be a UUID in lower case",
    "reply_to_seq: at least 0",
  ]);
});

test("what is right breaks nothing, and what is not there has no limits", () => {
  const room = create(CreateRoomRequestSchema, { roomId: id("7"), name: "회의 👩‍👩‍👧‍👦 ünï" });
  expect(violationsOf(CreateRoomRequestSchema, room)).toEqual([]);
  expect(violationsOf(UpdateProfileRequestSchema, create(UpdateProfileRequestSchema))).toEqual([]);
});

test.each([
  ["", "must not be empty"],
  [" lunch", "must not begin or end with white space"],
  ["lu\u202ench", "must not contain control characters"],
  ["lu\nnch", "must not contain control characters"],
  ["\u{1f372}".repeat(81), "at most 320 bytes"],
  ["x".repeat(81), "at most 80 characters"],
])("a name like %j: %s", (name, limit) => {
  const room = create(CreateRoomRequestSchema, { roomId: id("7"), name });
  expect(words(violationsOf(CreateRoomRequestSchema, room))).toEqual([`name: ${limit}`]);
});
