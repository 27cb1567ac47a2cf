import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const text = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

test("the README quotes the example as it is", () => {
  const quoted = [...text("../README.md").matchAll(/```ts\n(.*?)```/gs)].flatMap(([, code = ""]) => code.split("\n"));
  const example = new Set(text("../example/rooms.ts").split("\n").map((line) => line.trim()));
  expect(quoted.length).toBeGreaterThan(10);
  for (const line of quoted) expect(example).toContain(line.trim());
});
