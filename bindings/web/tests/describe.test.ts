/** The literals that generate.mjs writes describe what the contract's compiler says. */

import { execFileSync } from "node:child_process";
import {
  createFileRegistry,
  type DescEnum,
  type DescField,
  type DescFile,
  type DescMessage,
  type DescService,
  fromBinary,
} from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { file_madang_v1_error } from "../src/gen/madang/v1/error_pb.js";
import { file_madang_v1_identity_service } from "../src/gen/madang/v1/identity_service_pb.js";
import { file_madang_v1_message_service } from "../src/gen/madang/v1/message_service_pb.js";
import { file_madang_v1_read_service } from "../src/gen/madang/v1/read_service_pb.js";
import { file_madang_v1_room_service } from "../src/gen/madang/v1/room_service_pb.js";
import { file_madang_v1_sync_service } from "../src/gen/madang/v1/sync_service_pb.js";
import { file_madang_v1_user_service } from "../src/gen/madang/v1/user_service_pb.js";

/** All that is plain in it, but the name in JSON, which is never spoken; and the types that it names. */
const isPlain = ([name, value]: [string, unknown]) => !["object", "function"].includes(typeof value) && name !== "jsonName";
const field = (desc: DescField) => ({
  ...Object.fromEntries(Object.entries(desc).filter(isPlain)),
  types: [desc.message?.typeName, desc.enum?.typeName, desc.oneof?.localName],
  default: "getDefaultValue" in desc ? desc.getDefaultValue?.() : undefined,
});

const message = ({ fields, oneofs, members, nestedMessages, nestedEnums }: DescMessage) => ({
  fields: fields.map(field),
  oneofs: oneofs.map(({ localName, fields }) => [localName, fields.map(({ name }) => name)]),
  members: members.map(({ name }) => name),
  nested: [...nestedMessages, ...nestedEnums].map(({ typeName }) => typeName),
});

const values = ({ open, sharedPrefix, values }: DescEnum) => ({
  open,
  sharedPrefix,
  values: values.map(({ name, localName, number }) => [name, localName, number]),
});

const methods = ({ methods }: DescService) =>
  methods.map(({ name, localName, methodKind, input, output }) => [name, localName, methodKind, input.typeName, output.typeName]);

function within(file: DescFile): DescFile[] {
  return [file, ...file.dependencies.flatMap(within)];
}

test("every type of the pages' contract is the compiler's", () => {
  const image = execFileSync("node_modules/.bin/buf", ["build", "../..", "-o", "-"], { maxBuffer: 1 << 26 });
  const all = createFileRegistry(fromBinary(FileDescriptorSetSchema, new Uint8Array(image)));
  const entries = [
    file_madang_v1_error,
    file_madang_v1_identity_service,
    file_madang_v1_message_service,
    file_madang_v1_read_service,
    file_madang_v1_room_service,
    file_madang_v1_sync_service,
    file_madang_v1_user_service,
  ];
  const types = new Map(entries.flatMap(within).flatMap((file) => [...nestedTypes(file)]).map((type) => [type.typeName, type]));
  expect(types.size).toBeGreaterThan(100);
  for (const [name, type] of types) {
    if (type.kind === "message") expect(message(type), name).toEqual(message(all.getMessage(name) as DescMessage));
    if (type.kind === "enum") expect(values(type), name).toEqual(values(all.getEnum(name) as DescEnum));
    if (type.kind === "service") {
      const known = methods(all.getService(name) as DescService);
      for (const method of methods(type)) expect(known, name).toContainEqual(method);
    }
  }
}, 30_000);
