import { ClientError } from "@madang/client";
import { describe, expect, test } from "vitest";
import { failureText } from "./failure.js";
import { en } from "./en.js";
import { catalogueOf, languageOf } from "./index.js";
import { ko } from "./ko.js";
import { particle } from "./particle.js";

/** All keys of a catalogue with what stands there: functions are said with examples. */
function leaves(value: unknown, path = ""): Map<string, string> {
  if (typeof value === "string") return new Map([[path, value]]);
  if (typeof value === "function") {
    const examples = path.endsWith("typing") ? [["Ann", "Bob", "Cat"]] : [2, 3];
    return new Map([[path, String((value as (...given: unknown[]) => string)(...examples.map((x) => (path.includes("notice") || path.includes("members.") ? String(x) : x))))]]);
  }
  return new Map(Object.entries(value as object).flatMap(([key, next]) => [...leaves(next, path ? `${path}.${key}` : key)]));
}

describe("catalogues", () => {
  const [korean, english] = [leaves(ko), leaves(en)];

  test("have the same keys", () => {
    expect([...korean.keys()].sort()).toEqual([...english.keys()].sort());
    expect(korean.size).toBeGreaterThan(150);
  });

  test("say something everywhere, and Korean in Korean", () => {
    const same = new Set(["settings.languages.ko", "settings.languages.en", "palette.korean", "palette.english"]);
    for (const [key, said] of korean) {
      expect(said.trim(), key).not.toBe("");
      expect(english.get(key)?.trim(), key).not.toBe("");
      if (!same.has(key) && !key.startsWith("settings.keyList")) expect(said, key).toMatch(/[가-힣]/u);
    }
  });
});

test("a language has its catalogue", async () => {
  expect(await catalogueOf("ko")).toBe(ko);
  expect(await catalogueOf("en")).toBe(en);
});

test("a particle follows the last sound of a name", () => {
  expect(particle("기획", "을", "를")).toBe("을");
  expect(particle("회의", "을", "를")).toBe("를");
  expect(particle("서울", "으로", "로")).toBe("로");
  expect(particle("점심", "으로", "로")).toBe("으로");
  expect(particle("plans", "으로", "로")).toBe("로");
});

test("the first language of the browser that is there is taken", () => {
  expect(languageOf(["ko-KR", "en"])).toBe("ko");
  expect(languageOf(["fr", "en-GB", "ko"])).toBe("en");
  expect(languageOf([])).toBe("en");
});

test("a failure is said with what to do, and with its number when the server is at fault", () => {
  expect(failureText(new ClientError("PermissionDenied", "x", { reason: "LastAdmin" }), en)).toBe(en.failure.lastAdmin);
  expect(failureText(new ClientError("Offline", "x", { local: "ClockWrong" }), en)).toBe(en.failure.clock);
  expect(failureText(new ClientError("Internal", "x", { requestId: "r1" }), en)).toContain("r1");
  expect(failureText(new TypeError("x"), en)).toBe(en.failure.internal);
});
