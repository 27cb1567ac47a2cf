/**
 * The contract's files, described to the codec. They come as plain literals, which generate.mjs writes: in their binary form every
 * page would have to read them first, and for that carry the description of descriptions as well.
 */

import { createFileRegistry, type DescFile } from "@bufbuild/protobuf";
import type {
  DescriptorProto,
  EnumValueDescriptorProto,
  FieldDescriptorProto,
  FileDescriptorProto,
  MethodDescriptorProto,
} from "@bufbuild/protobuf/wkt";

type Named<T extends { name: string }, Known extends keyof T = never, Maybe extends keyof T = never> = Pick<T, "name" | Known> &
  Partial<Pick<T, Maybe>>;

type FieldLiteral = Named<FieldDescriptorProto, "number" | "type", "label" | "typeName" | "oneofIndex" | "proto3Optional">;

/** A message; what is absent is empty. */
export interface MessageLiteral {
  readonly name: string;
  readonly field?: readonly FieldLiteral[];
  readonly oneofDecl?: readonly { readonly name: string }[];
  readonly nestedType?: readonly MessageLiteral[];
  readonly enumType?: readonly EnumLiteral[];
  readonly options?: { readonly mapEntry: boolean };
}

/** An enum. */
export interface EnumLiteral {
  readonly name: string;
  readonly value: readonly Named<EnumValueDescriptorProto, "number">[];
}

/** A file; what is absent is empty. */
export interface FileLiteral {
  readonly name: string;
  readonly package: string;
  readonly messageType?: readonly MessageLiteral[];
  readonly enumType?: readonly EnumLiteral[];
  readonly service?: readonly {
    readonly name: string;
    readonly method: readonly Named<MethodDescriptorProto, "inputType" | "outputType", "serverStreaming">[];
  }[];
}

/** What a field is that does not say otherwise; whether it says so is seen by where the value lies. */
const FIELD = { label: 1, typeName: "", oneofIndex: 0, proto3Optional: false, jsonName: "", defaultValue: "" };

/** Describes a file that uses what others have. */
export function describe(file: FileLiteral, imports: readonly DescFile[] = []): DescFile {
  const proto = {
    $typeName: "google.protobuf.FileDescriptorProto",
    syntax: "proto3",
    extension: [],
    service: [],
    ...file,
    dependency: imports.map(({ proto: { name } }) => name),
    messageType: (file.messageType ?? []).map(messageOf),
    enumType: file.enumType ?? [],
  } as unknown as FileDescriptorProto;
  const registry = createFileRegistry(proto, (name) => imports.find((one) => one.proto.name === name));
  return registry.getFile(file.name) as DescFile;
}

function messageOf({ name, field = [], oneofDecl = [], nestedType = [], enumType = [], options }: MessageLiteral): DescriptorProto {
  const fields = field.map((one) => Object.assign(Object.create(FIELD), one));
  const nested = nestedType.map(messageOf);
  return { name, field: fields, oneofDecl, nestedType: nested, enumType, extension: [], options } as unknown as DescriptorProto;
}
