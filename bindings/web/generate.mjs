// The contract as TypeScript, in src/gen: of it what the calls are made of that the client makes, because every page pays for the
// descriptors. Custom options stay out of them, because they would bring the whole of descriptor.proto into every page; what the
// client needs of them becomes a table, src/gen/rules.ts.

import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";

const CONTRACT = "../..";
const OPTIONS = ["madang.v1.policy", "madang.v1.limits", "madang.v1.rule"];
/** The calls that the client makes. */
const CALLS = {
  IdentityService: ["GetServerInfo", "ListDeviceSessions", "RevokeDeviceSession", "SignOut"],
  MessageService: ["DeleteMessage", "EditMessage", "GetMessage", "ListMessages", "SendMessage"],
  ReadService: ["MarkRead", "MarkUnread"],
  RoomService: ["CreateRoom", "InviteMembers", "JoinRoom", "LeaveRoom", "ListMembers", "OpenDirectRoom", "RemoveMember"],
  SyncService: ["Ack", "Reauthenticate", "SetFocus", "SetTyping", "SyncRoom", "SyncUser", "Watch"],
  UserService: ["BatchGetUsers", "SearchUsers", "SetStatus", "UpdateProfile"],
};
const calls = Object.entries(CALLS).flatMap(([service, names]) => names.map((name) => `${service}.${name}`));
/** Beside what they are made of: how refusals are named, and what is done about them. */
const TYPES = [...calls, "ErrorReason", "ClientAction"].map((name) => `madang.v1.${name}`);
/** Requests that wait in the outbox are checked before they go in; no other is. */
const CHECKED = ["message", "message_service", "room", "room_service", "user", "user_service"];

const buf = (...words) => execFileSync("buf", words, { maxBuffer: 1 << 26, stdio: ["ignore", "pipe", "inherit"] });

rmSync("src/gen", { recursive: true, force: true });
const chosen = [...TYPES.flatMap((type) => ["--type", type]), ...OPTIONS.flatMap((option) => ["--exclude-type", option])];
buf("generate", CONTRACT, "--template", "buf.gen.yaml", ...chosen);

const { file: files } = JSON.parse(buf("build", CONTRACT, "-o", "-#format=json").toString());
const fileOf = (name) => files.find((file) => file.name === `madang/v1/${name}.proto`);

const error = fileOf("error");
const enumOf = (name) => error.enumType.find((one) => one.name === name);
const numberOf = (name, value) => enumOf(name).value.find((one) => one.name === value)?.number ?? 0;
const reasons = {};
for (const { number = 0, options } of enumOf("ErrorReason").value) {
  const { code = "", action = "" } = options?.["[madang.v1.rule]"] ?? {};
  reasons[number] = [numberOf("StatusCode", code), numberOf("ClientAction", action)];
}

const limits = {};
for (const message of CHECKED.flatMap((name) => fileOf(name).messageType ?? [])) {
  const fields = (message.field ?? []).flatMap(({ name, options }) => {
    const held = options?.["[madang.v1.limits]"];
    return held ? [[name, held]] : [];
  });
  if (fields.length > 0) limits[`madang.v1.${message.name}`] = Object.fromEntries(fields);
}

writeFileSync(
  "src/gen/rules.ts",
  `// Made by generate.mjs from the options of the contract; do not edit.

/** What a refusal stands for, by the number of its reason: its gRPC code, and what a client does about it. */
export const REASONS: Readonly<Record<number, readonly [code: number, action: number]>> = ${JSON.stringify(reasons)};

/** The limits of a field. */
export interface FieldLimits {
  readonly required?: boolean;
  readonly maxCharacters?: number;
  readonly maxBytes?: number;
  readonly maxItems?: number;
  readonly min?: string;
  readonly max?: string;
  readonly format?: string;
}

/** The limits of the fields of a message. */
export const LIMITS: Readonly<Record<string, Readonly<Record<string, FieldLimits>>>> = ${JSON.stringify(limits)};
`,
);
