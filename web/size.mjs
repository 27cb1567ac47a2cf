// What a browser fetches to show a chat: the entry with all that it imports at once, compressed. Fails above the bound.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

/** Bytes of JavaScript, compressed by gzip: a second on a slow line. */
const BOUND = 180 * 1024;

const manifest = JSON.parse(readFileSync("dist/.vite/manifest.json", "utf8"));
const wanted = new Set();
const visit = (key) => {
  if (wanted.has(key)) return;
  wanted.add(key);
  for (const next of manifest[key].imports ?? []) visit(next);
};
visit("index.html");
// The longer of the languages is fetched with it.
visit("src/text/ko.ts");
const bytes = [...wanted]
  .map((key) => manifest[key].file)
  .filter((file) => file.endsWith(".js"))
  .reduce((sum, file) => sum + gzipSync(readFileSync(`dist/${file}`)).length, 0);
console.log(`the chat screen: ${(bytes / 1024).toFixed(1)} KB of JavaScript, compressed; at most ${BOUND / 1024} KB`);
if (bytes > BOUND) process.exit(1);
