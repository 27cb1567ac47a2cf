import { expect, test } from "vitest";
import { plain } from "./plain.js";

test("what nobody sees goes, everything else stays", () => {
  expect(plain("a\u202Egnp.exe\u202C\u0000b")).toBe("agnp.exeb");
  expect(plain("안녕\n\t👩‍💻 é \u200d")).toBe("안녕\n\t👩‍💻 é \u200d");
  expect(plain("a\r\nb\rc")).toBe("a\nb\nc");
});
