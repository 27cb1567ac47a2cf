// After the build: every file also compressed beside itself, as the server hands it out, and the weight of the chat screen: what a
// browser fetches to show a chat. Fails above the bound.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";

/** Bytes of JavaScript, compressed by gzip: a second on a slow line has room for 180 KB, and 154 are there. */
const BOUND = 160 * 1024;

/** What does not grow smaller is left alone. */
const TEXTS = /\.(js|css|html|svg|webmanifest)$/;

for (const entry of readdirSync("dist", { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !TEXTS.test(entry.name)) continue;
  const path = `${entry.parentPath}/${entry.name}`;
  const bytes = readFileSync(path);
  writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
  writeFileSync(`${path}.br`, brotliCompressSync(bytes));
}

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
  .reduce((sum, file) => sum + readFileSync(`dist/${file}.gz`).length, 0);
console.log(`the chat screen: ${(bytes / 1024).toFixed(1)} KB of JavaScript, compressed; at most ${BOUND / 1024} KB`);
if (bytes > BOUND) process.exit(1);
