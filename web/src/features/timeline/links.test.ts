import { expect, test } from "vitest";
import { piecesOf } from "./links.js";

const links = (text: string) => piecesOf(text).flatMap((piece) => (piece.kind === "Link" ? [piece.href] : []));

test("the pieces of a message are the message", () => {
  for (const text of ["", "안녕", "https://a.example", "x https://a.example, y (https://b.example/c_(d)) z", "https://"]) {
    expect(piecesOf(text).map((piece) => piece.text).join("")).toBe(text);
  }
});

test("a link ends where its sentence goes on", () => {
  expect(links("보세요: https://a.example/x?y=1.")).toEqual(["https://a.example/x?y=1"]);
  expect(links("(https://a.example/b_(c))")).toEqual(["https://a.example/b_(c)"]);
  expect(links("https://a.example/한글 뒤")).toEqual(["https://a.example/%ED%95%9C%EA%B8%80"]);
});

test("nothing that runs or deceives becomes a link", () => {
  for (const text of [
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "https://bank.example@evil.example/",
    "file:///etc/passwd",
    `https://a.example/${"x".repeat(5000)}`,
    "https://",
  ]) {
    expect(links(text), text.slice(0, 60)).toEqual([]);
  }
  expect(links('https://a.example/"onmouseover="alert(1)')).toEqual(["https://a.example/"]);
  expect(links("https://a.example/\u202Egpj.exe")).toEqual(["https://a.example/"]);
});
