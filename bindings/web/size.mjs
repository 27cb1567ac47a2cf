// What a page pays for the client with all that it stands on, bundled and compressed as a server sends it.

import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/**
 * What is promised. Of the 57 KB that are there, the client itself is 34, protobuf-es 12, what it is told of the contract 10, and idb
 * 1. Connect in place of `src/net/grpc.ts` would be 11 more, and the contract in bytes in place of literals 10.
 */
const MOST = 60 * 1024;

const bundle = await build({
  stdin: { contents: 'export * from "./src/index.ts";', resolveDir: import.meta.dirname },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  write: false,
  metafile: true,
});
const bytes = gzipSync(bundle.outputFiles[0].contents, { level: 9 }).length;
if (process.argv.includes("--parts")) {
  const parts = Object.entries(Object.values(bundle.metafile.outputs)[0].inputs);
  for (const [name, { bytesInOutput }] of parts.sort((one, other) => other[1].bytesInOutput - one[1].bytesInOutput).slice(0, 30)) {
    console.log(String(bytesInOutput).padStart(8), name);
  }
}
console.log(`${(bytes / 1024).toFixed(1)} KB compressed, at most ${MOST / 1024}`);
if (bytes > MOST) process.exit(1);
