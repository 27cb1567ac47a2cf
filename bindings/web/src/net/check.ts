/**
 * The validator of request fields. Limits are read from the contract's own options, so those that clients hold and those that
 * the server holds are the same.
 */

import type { DescField, DescMessage, MessageShape } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import type { FieldViolation } from "../error.js";
import { type FieldLimits, LIMITS } from "../gen/rules.js";
import { isId } from "../time.js";

/** Violations told of one request; the server tells no more either. */
const MOST_VIOLATIONS = 20;
/** Control characters, and the invisible ones that turn the direction of a line and so disguise names. */
const FORBIDDEN = /[\p{Cc}\u202a-\u202e\u2066-\u2069\ufeff]/u;

type Add = (at: string, limit: string) => void;

/** All fields of a request that break their limits. */
export function violationsOf(schema: DescMessage, request: MessageShape<DescMessage>): FieldViolation[] {
  const violations: FieldViolation[] = [];
  const add: Add = (field, limit) => {
    if (violations.length < MOST_VIOLATIONS) violations.push({ field, limit });
  };
  checkMessage(reflect(schema, request), "", add);
  return violations;
}

function checkMessage(message: ReflectMessage, at: string, add: Add): void {
  for (const field of message.fields) {
    // Of a choice only what is chosen has limits.
    if (field.oneof && !message.isSet(field)) continue;
    checkField(message, field, at === "" ? field.name : `${at}.${field.name}`, add);
  }
}

function checkField(message: ReflectMessage, field: DescField, at: string, add: Add): void {
  const held = LIMITS[field.parent.typeName]?.[field.name];
  switch (field.fieldKind) {
    case "list": {
      const list = message.get(field);
      if (held) checkCount(list.size, held, at, add);
      let index = 0;
      for (const item of list) {
        if (held?.maxItems && index >= held.maxItems) break;
        const place = `${at}[${index++}]`;
        if (field.listKind === "message") checkMessage(item as ReflectMessage, place, add);
        else if (held) checkScalar(item, held, place, add);
      }
      break;
    }
    case "map":
      if (held) checkMap([...message.get(field)], held, at, add);
      break;
    case "message":
      if (message.isSet(field)) checkMessage(message.get(field), at, add);
      else if (held?.required) add(at, "must be present");
      break;
    case "enum":
      if (!field.enum.value[message.get(field)]) add(at, "must be a known value");
      else if (held?.required && message.get(field) === 0) add(at, "must be stated");
      break;
    case "scalar": {
      const optional = field.proto.proto3Optional;
      if (held && (!optional || message.isSet(field))) checkScalar(message.get(field), held, at, add);
      break;
    }
  }
}

function checkScalar(value: unknown, held: FieldLimits, at: string, add: Add): void {
  if (typeof value === "string") checkText(value, held, at, add);
  else if (typeof value === "number" || typeof value === "bigint") {
    if (held.min !== undefined && value < BigInt(held.min)) add(at, `at least ${held.min}`);
    if (held.max !== undefined && value > BigInt(held.max)) add(at, `at most ${held.max}`);
  }
}

function checkText(value: string, held: FieldLimits, at: string, add: Add): void {
  if (value === "") {
    if (held.required) add(at, "must not be empty");
    return;
  }
  if (held.maxBytes && bytesOf(value) > held.maxBytes) return add(at, `at most ${held.maxBytes} bytes`);
  if (held.maxCharacters && [...value].length > held.maxCharacters) {
    return add(at, `at most ${held.maxCharacters} characters`);
  }
  const wrong = formOf(value, held.format);
  if (wrong !== undefined) add(at, wrong);
}

function formOf(value: string, format: string | undefined): string | undefined {
  switch (format) {
    case "TEXT_FORMAT_UUID":
      return isId(value) ? undefined : "must be a UUID in lower case";
    case "TEXT_FORMAT_UUID_V7":
      return isId(value) && value[14] === "7" ? undefined : "must be a version 7 UUID in lower case";
    case "TEXT_FORMAT_LINE":
      if (value.trim() !== value) return "must not begin or end with white space";
      return FORBIDDEN.test(value) ? "must not contain control characters" : undefined;
    case "TEXT_FORMAT_PARAGRAPHS":
      return FORBIDDEN.test(value.replace(/[\n\t\r]/g, "")) ? "must not contain control characters" : undefined;
    default:
      return value.includes("\0") ? "must not contain NUL" : undefined;
  }
}

function checkCount(count: number, held: FieldLimits, at: string, add: Add): void {
  if (held.required && count === 0) add(at, "must not be empty");
  if (held.maxItems && count > held.maxItems) add(at, `at most ${held.maxItems} items`);
}

function checkMap(entries: readonly (readonly [unknown, unknown])[], held: FieldLimits, at: string, add: Add): void {
  checkCount(entries.length, held, at, add);
  const texts = entries.flat().map(String);
  const bytes = texts.reduce((sum, text) => sum + bytesOf(text), 0);
  if (held.maxBytes && bytes > held.maxBytes) add(at, `at most ${held.maxBytes} bytes together`);
  if (entries.some(([key]) => key === "") || texts.some((text) => text.includes("\0"))) {
    add(at, "keys must not be empty, and nothing may contain NUL");
  }
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}
