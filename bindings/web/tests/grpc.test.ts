/** Calls to a server that says exactly what a test wants, over a real connection. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ClientError } from "../src/error.js";
import { GetServerInfoRequestSchema, GetServerInfoResponseSchema, IdentityService } from "../src/gen/madang/v1/identity_service_pb.js";
import { ServerFrameSchema } from "../src/gen/madang/v1/sync_pb.js";
import { SyncService } from "../src/gen/madang/v1/sync_service_pb.js";
import { failureOf } from "../src/net/failure.js";
import { callerOf, type CallOptions } from "../src/net/grpc.js";

let server: Server;
let origin: string;
/** What the server does with a call. */
let answers: (asked: IncomingMessage, answer: ServerResponse) => void;
/** Calls that have come, and those whose connection has ended. */
let [asked, ended]: [IncomingMessage[], number] = [[], 0];

beforeEach(async () => {
  [asked, ended] = [[], 0];
  server = createServer((call, answer) => {
    asked.push(call);
    answer.on("close", () => (ended += 1));
    answers(call, answer);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const info = (options?: CallOptions) => callerOf(IdentityService, origin).getServerInfo({}, options);
const watch = (options?: CallOptions) => callerOf(SyncService, origin).watch({}, options);

/** An envelope. */
function envelope(flags: number, data: Uint8Array | string): Buffer {
  const bytes = Buffer.from(data);
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

const message = envelope(0, toBinary(GetServerInfoResponseSchema, create(GetServerInfoResponseSchema, { server: { version: "7" } })));
const frame = (sessionId: string) =>
  envelope(0, toBinary(ServerFrameSchema, create(ServerFrameSchema, { frame: { case: "welcome", value: { sessionId } } })));
const well = envelope(0x80, "grpc-status: 0\r\n");

const TYPE = { "content-type": "application/grpc-web+proto" };

/** Says these pieces, and ends. */
function says(...pieces: readonly Buffer[]): void {
  answers = (_, answer) => answer.writeHead(200, TYPE).end(Buffer.concat(pieces));
}

async function failureOfCall(call: Promise<unknown>): Promise<ClientError> {
  return failureOf(await call.then((value) => expect.fail(`no failure: ${JSON.stringify(value)}`), (error: unknown) => error));
}

/** `google.rpc.Status` with details, as a server sends it. */
function details(...all: readonly (readonly [type: string, value: Uint8Array])[]): string {
  const writer = new BinaryWriter();
  for (const [type, value] of all) {
    const any = create(AnySchema, { typeUrl: `type.googleapis.com/google.rpc.${type}`, value: new Uint8Array(value) });
    writer.tag(3, WireType.LengthDelimited).bytes(toBinary(AnySchema, any));
  }
  return Buffer.from(writer.finish()).toString("base64").replace(/=+$/, "");
}

/** `google.rpc.ErrorInfo`. */
function errorInfo(reason: string, metadata: Readonly<Record<string, string>> = {}, domain = "madang"): readonly [string, Uint8Array] {
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string(reason).tag(2, WireType.LengthDelimited).string(domain);
  for (const [key, value] of Object.entries(metadata)) {
    const pair = new BinaryWriter().tag(1, WireType.LengthDelimited).string(key).tag(2, WireType.LengthDelimited).string(value);
    writer.tag(3, WireType.LengthDelimited).bytes(pair.finish());
  }
  return ["ErrorInfo", writer.finish()];
}

test("a call says what it must, and takes the answer", async () => {
  const body: Buffer[] = [];
  answers = (call, answer) => {
    call.on("data", (piece: Buffer) => body.push(piece));
    call.on("end", () => answer.writeHead(200, TYPE).end(Buffer.concat([message, well])));
  };
  expect((await info({ headers: { "madang-device-id": "d" }, timeoutMs: 7_000 })).server?.version).toBe("7");
  const [{ method, url, headers }] = asked as [IncomingMessage];
  expect([method, url]).toEqual(["POST", "/madang.v1.IdentityService/GetServerInfo"]);
  const said = ["content-type", "x-grpc-web", "grpc-timeout", "madang-device-id"].map((name) => headers[name]);
  expect(said).toEqual(["application/grpc-web+proto", "1", "7000m", "d"]);
  const sent = Buffer.concat(body);
  expect(sent.subarray(0, 5)).toEqual(Buffer.alloc(5));
  fromBinary(GetServerInfoRequestSchema, sent.subarray(5));
});

test("it does not matter in which pieces an answer comes", async () => {
  answers = async (_, answer) => {
    answer.writeHead(200, TYPE);
    for (const byte of Buffer.concat([message, well])) {
      answer.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    answer.end();
  };
  expect((await info()).server?.version).toBe("7");
});

test("a long message comes whole", async () => {
  const version = "x".repeat(3 << 20);
  says(envelope(0, toBinary(GetServerInfoResponseSchema, create(GetServerInfoResponseSchema, { server: { version } }))), well);
  expect((await info()).server?.version).toHaveLength(3 << 20);
});

test.each([
  ["nothing", []],
  ["no status", [message]],
  ["a head that is cut off", [message, well.subarray(0, 3)]],
  ["a message that is cut off", [message.subarray(0, 6)]],
  ["trailers that are cut off", [message, well.subarray(0, 12)]],
  ["trailers without a status", [message, envelope(0x80, "x: y\r\n")]],
  ["trailers that are none", [message, envelope(0x80, "grpc status\r\n")]],
  ["a status without a message", [well]],
  ["two messages", [message, message, well]],
  ["a message after the status", [message, well, message]],
  ["two ends", [message, well, well]],
  ["a head that is cut off after the status", [message, well, Buffer.of(0, 0)]],
  ["a compressed message", [envelope(1, message.subarray(5)), well]],
  ["a flag that nobody knows", [envelope(4, message.subarray(5)), well]],
  ["a message that is none", [envelope(0, Buffer.of(0xff)), well]],
  ["trailers that are compressed", [message, envelope(0x81, "grpc-status: 0\r\n")]],
])("an answer of %s is no answer, and the call may be repeated", async (_, pieces) => {
  says(...pieces);
  const failure = await failureOfCall(info());
  expect([failure.kind, failure.local]).toEqual(["Offline", undefined]);
});

test("a message that is too long is refused when its length is known", async () => {
  const head = Buffer.of(0, 0, 0x40, 0, 1);
  // Nothing comes after that, and the answer does not end.
  answers = (_, answer) => answer.writeHead(200, TYPE).write(head);
  const failure = await failureOfCall(info());
  expect([failure.kind, failure.message]).toEqual(["Offline", `a message of ${(4 << 20) + 1} bytes; at most ${4 << 20} are taken`]);
  await expect.poll(() => ended).toBe(1);
});

test("a refusal stands in the headers or in the trailers", async () => {
  const info7 = errorInfo("ROOM_FULL", { limit: "200", field: "user_ids", request_id: "of the details" });
  const status = { "grpc-status": "9", "grpc-message": "%EB%B0%A9 is full", "grpc-status-details-bin": details(info7) };
  const wanted = {
    kind: "Conflict",
    reason: "RoomFull",
    message: "방 is full",
    violations: [{ field: "user_ids", limit: "200" }],
    requestId: "of the details",
  };
  answers = (_, answer) => answer.writeHead(200, { ...TYPE, ...status }).end();
  expect(await failureOfCall(info())).toMatchObject(wanted);
  const lines = Object.entries(status).map(([name, value]) => `${name}: ${value}\r\n`);
  says(envelope(0x80, lines.join("")));
  expect(await failureOfCall(info())).toMatchObject(wanted);
  const bare = envelope(0x80, "grpc-status: 5\r\n");
  answers = (_, answer) => answer.writeHead(200, { ...TYPE, "madang-request-id": "of the headers" }).end(bare);
  expect((await failureOfCall(info())).requestId).toBe("of the headers");
  // After a message too: the server has thought better of it.
  says(message, envelope(0x80, lines.join("").replaceAll(": ", ":")));
  expect(await failureOfCall(info())).toMatchObject(wanted);
});

test("what else a refusal carries is read", async () => {
  const wait = new BinaryWriter().tag(1, WireType.Varint).int64(2).tag(2, WireType.Varint).int32(500_000_000).finish();
  const retry = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(wait).finish();
  const bin = details(["Help", Buffer.from("x")], ["RetryInfo", retry], errorInfo("RATE_LIMITED"));
  const headers = { ...TYPE, "grpc-status": "8", "grpc-status-details-bin": bin, "madang-request-id": "r" };
  answers = (_, answer) => answer.writeHead(200, headers).end();
  const wanted = { kind: "RateLimited", reason: "RateLimited", message: "", retryAfterMs: 2_500, requestId: "r" };
  expect(await failureOfCall(info())).toMatchObject(wanted);
});

test.each([
  ["16", "", "Unauthenticated"],
  ["3", "", "Invalid"],
  ["1", "", "Offline"],
  ["2", "", "Offline"],
  ["13", "", "Offline"],
  ["99", "", "Offline"],
  ["-1", "", "Offline"],
  ["five", "", "Offline"],
  ["0, 0", "", "Offline"],
  ["5", "no base64!", "NotFound"],
  ["5", Buffer.of(0xff, 0xff).toString("base64"), "NotFound"],
  ["5", details(errorInfo("ROOM_NOT_FOUND", {}, "another")), "NotFound"],
])("a status %j with details %j comes without a reason, as %s", async (status, bin, kind) => {
  const headers = { "grpc-status": status, "grpc-message": "100%", ...(bin && { "grpc-status-details-bin": bin }) };
  answers = (_, answer) => answer.writeHead(200, { ...TYPE, ...headers }).end();
  const failure = await failureOfCall(info());
  expect([failure.kind, failure.reason, failure.message]).toEqual([kind, undefined, "100%"]);
});

test.each([
  [200, "text/html", "NotMadang"],
  [404, "application/grpc-web+proto", "NotMadang"],
  [502, "text/html", "Unreachable"],
  [429, "text/plain", "Unreachable"],
  // Whoever is sent elsewhere does not go.
  [302, "text/html", "Unreachable"],
])("HTTP %i with %s is not the server: %s", async (status, type, local) => {
  answers = (_, answer) => answer.writeHead(status, { "content-type": type, location: "/" }).end("<html>");
  const failure = await failureOfCall(info());
  expect([failure.kind, failure.local]).toEqual(["Offline", local]);
  expect(asked).toHaveLength(1);
});

test("a server that is not there cannot be reached", async () => {
  server.close();
  expect(await failureOfCall(info())).toMatchObject({ kind: "Offline", local: "Unreachable" });
});

test.each([
  ["at all", (_: IncomingMessage, __: ServerResponse) => undefined],
  ["to the end", (_: IncomingMessage, answer: ServerResponse) => void answer.writeHead(200, TYPE).write(message)],
])("a server that does not answer %s is not waited for, and is left", async (_, silence) => {
  answers = silence;
  const failure = await failureOfCall(info({ timeoutMs: 100 }));
  expect([failure.kind, failure.local, failure.message]).toEqual(["Offline", undefined, "no answer in 100 ms"]);
  await expect.poll(() => ended).toBe(1);
});

test("a call can be given up, before it is made and on its way", async () => {
  expect((await failureOfCall(info({ signal: AbortSignal.abort() }))).kind).toBe("Offline");
  expect(asked).toHaveLength(0);
  const over = new AbortController();
  answers = () => over.abort();
  expect((await failureOfCall(info({ signal: over.signal }))).message).toBe("the call was given up");
  await expect.poll(() => ended).toBe(1);
});

test("a stream gives each message when it comes, and has no deadline if none is wanted", async () => {
  let next: () => void = () => expect.fail("not asked");
  answers = (_, answer) => {
    answer.writeHead(200, TYPE).write(Buffer.concat([frame("1"), frame("2"), frame("3").subarray(0, 4)]));
    next = () => answer.end(Buffer.concat([frame("3").subarray(4), well]));
  };
  const said: (string | undefined)[] = [];
  for await (const told of watch({ timeoutMs: 0 })) {
    said.push(told.frame.case === "welcome" ? told.frame.value.sessionId : undefined);
    if (said.length === 2) next();
  }
  expect(said).toEqual(["1", "2", "3"]);
  expect(asked[0]?.headers["grpc-timeout"]).toBeUndefined();
});

test("a stream that breaks says so after all that came", async () => {
  answers = (_, answer) => answer.writeHead(200, TYPE).write(frame("1"), () => setTimeout(() => answer.destroy(), 50));
  let count = 0;
  const read = async () => {
    for await (const _ of watch()) count += 1;
  };
  const failure = await failureOfCall(read());
  expect([count, failure.kind, failure.local]).toEqual([1, "Offline", undefined]);
});

test("a stream that nobody reads on is left", async () => {
  answers = (_, answer) => void answer.writeHead(200, TYPE).write(Buffer.concat([frame("1"), frame("2")]));
  for await (const _ of watch({ timeoutMs: 0 })) break;
  await expect.poll(() => ended).toBe(1);
});

test("a stream that is given up while it is silent ends", async () => {
  const over = new AbortController();
  answers = (_, answer) => void answer.writeHead(200, TYPE).write(frame("1"));
  const read = async () => {
    for await (const _ of watch({ timeoutMs: 0, signal: over.signal })) setTimeout(() => over.abort(), 20);
  };
  expect((await failureOfCall(read())).message).toBe("the call was given up");
  await expect.poll(() => ended).toBe(1);
});
