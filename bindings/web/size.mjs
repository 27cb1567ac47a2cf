// What a page pays for the client with all that it stands on, bundled and compressed as a server sends it.

import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/**
 * 60 KB are wanted. Of what is there, the client itself is 35, and gRPC-web and protobuf with the descriptors of the contract are
 * 45: among them 7 for JSON, which is never spoken, and 5 for the descriptor of descriptors. This keeps it from growing unseen.
 */
const MOST = 81 * 1024;

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
