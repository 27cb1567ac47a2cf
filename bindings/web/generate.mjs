// The contract as TypeScript, in src/gen: of it what the calls are made of that the client makes, because every page pays for the
// descriptors. They become plain literals for src/describe.ts: as bytes they compress badly, and whoever reads those needs the whole
// of descriptor.proto. Custom options stay out of them for the same reason; what the client needs of them becomes a table,
// src/gen/rules.ts.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import {
  FieldDescriptorProto_Label,
  FileDescriptorProtoSchema,
  file_google_protobuf_duration,
  file_google_protobuf_timestamp,
} from "@bufbuild/protobuf/wkt";

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

const some = (list, shape) => (list.length > 0 ? list.map(shape) : undefined);
const enumLiteral = ({ name, value }) => ({ name, value: value.map(({ name, number }) => ({ name, number })) });
/** A choice that the compiler made up for an optional field is left out; it would say nothing more. */
const fieldLiteral = ({ name, number, type, label, typeName, proto3Optional, ...field }) => ({
  name,
  number,
  type,
  label: label === FieldDescriptorProto_Label.REPEATED ? label : undefined,
  typeName: typeName || undefined,
  ...(proto3Optional ? { proto3Optional } : { oneofIndex: Object.hasOwn(field, "oneofIndex") ? field.oneofIndex : undefined }),
});
const messageLiteral = ({ name, field, oneofDecl, nestedType, enumType, options }) => ({
  name,
  field: some(field, fieldLiteral),
  oneofDecl: some(oneofDecl, ({ name }) => ({ name })),
  nestedType: some(nestedType, messageLiteral),
  enumType: some(enumType, enumLiteral),
  options: options?.mapEntry ? { mapEntry: true } : undefined,
});
const methodLiteral = ({ name, inputType, outputType, serverStreaming }) => ({
  name,
  inputType,
  outputType,
  serverStreaming: serverStreaming || undefined,
});
const fileLiteral = (file) =>
  JSON.stringify({
    name: file.name,
    package: file.package,
    messageType: some(file.messageType, messageLiteral),
    enumType: some(file.enumType, enumLiteral),
    service: some(file.service, ({ name, method }) => ({ name, method: method.map(methodLiteral) })),
  });

/** A file of the generator's with literals in place of bytes. */
function plain(text) {
  const [call, bytes] = /fileDesc\("([^"]*)"/.exec(text);
  const literal = fileLiteral(fromBinary(FileDescriptorProtoSchema, base64Decode(bytes)));
  return text
    .replace(call, () => `describe(${literal}`)
    .replace(/(?<=import \{.*)(, fileDesc|fileDesc, )(.*)/, '$2\nimport { describe } from "../../../describe.js";')
    .replace(/(?<=import \{ file_google.*)"@bufbuild\/protobuf\/wkt"/, '"../../wkt.js"');
}

const made = "src/gen/madang/v1";
for (const name of readdirSync(made)) writeFileSync(`${made}/${name}`, plain(readFileSync(`${made}/${name}`, "utf8")));

const wkt = { file_google_protobuf_duration, file_google_protobuf_timestamp };
writeFileSync(
  "src/gen/wkt.ts",
  `// Made by generate.mjs; do not edit.

import { describe } from "../describe.js";
${Object.entries(wkt).map(([name, { proto }]) => `
/** Describes the file ${proto.name}. */
export const ${name} = /*@__PURE__*/ describe(${fileLiteral(proto)});
`).join("")}`,
);

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
