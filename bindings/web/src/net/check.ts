/**
 * The validator of request fields. Limits are read from the contract's own options, so those that clients hold and those that
 * the server holds are the same.
 */

import type { DescField, DescMessage, MessageShape } from "@bufbuild/protobuf";
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
  checkMessage(schema, request, "", add);
  return violations;
}

function checkMessage(schema: DescMessage, message: object, at: string, add: Add): void {
  for (const field of schema.fields) {
    const value = valueOf(field, message);
    // Of a choice only what is chosen has limits.
    if (field.oneof && value === undefined) continue;
    checkField(field, value, at === "" ? field.name : `${at}.${field.name}`, add);
  }
}

/** What a message has in a field; `undefined`: it is not set, and has no default. */
function valueOf({ oneof, localName }: DescField, message: object): unknown {
  const values = message as Readonly<Record<string, unknown>>;
  if (!oneof) return values[localName];
  const choice = values[oneof.localName] as { readonly case?: string; readonly value?: unknown };
  return choice.case === localName ? choice.value : undefined;
}

function checkField(field: DescField, value: unknown, at: string, add: Add): void {
  const held = LIMITS[field.parent.typeName]?.[field.name];
  switch (field.fieldKind) {
    case "list": {
      const list = value as readonly unknown[];
      if (held) checkCount(list.length, held, at, add);
      for (const [index, item] of list.slice(0, held?.maxItems).entries()) {
        const place = `${at}[${index}]`;
        if (field.listKind === "message") checkMessage(field.message, item as object, place, add);
        else if (held) checkScalar(item, held, place, add);
      }
      break;
    }
    case "map":
      if (held) checkMap(Object.entries(value as object), held, at, add);
      break;
    case "message":
      if (value !== undefined) checkMessage(field.message, value as object, at, add);
      else if (held?.required) add(at, "must be present");
      break;
    case "enum": {
      const number = (value ?? 0) as number;
      if (!field.enum.value[number]) add(at, "must be a known value");
      else if (held?.required && number === 0) add(at, "must be stated");
      break;
    }
    case "scalar":
      if (held) checkScalar(value, held, at, add);
      break;
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
