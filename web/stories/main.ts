/**
 * Stories of people in real browsers against a real server: `npm run stories -- GROUND [WORD]` with the program `ground`, and a
 * word of the stories' names to play some of them only. Screenshots go to `docs/images` with `--pictures`.
 */

import { join } from "node:path";
import { launch, Visitor } from "./browser.js";
import { Ground } from "./ground.js";
import type { Story } from "./story.js";
import { accounts } from "./accounts.js";
import { chat } from "./chat.js";
import { composing } from "./composing.js";
import { figures } from "./figures.js";
import { injection } from "./injection.js";
import { long } from "./long.js";
import { notifications } from "./notifications.js";
import { offline } from "./offline.js";
import { pictures } from "./pictures.js";
import { rooms } from "./rooms.js";
import { storage } from "./storage.js";
import { tabs } from "./tabs.js";
import { zoom } from "./zoom.js";

const STORIES: readonly Story[] = [
  ...pictures,
  ...accounts,
  ...tabs,
  ...chat,
  ...composing,
  ...rooms,
  ...offline,
  ...storage,
  ...notifications,
  ...zoom,
  ...injection,
  ...long,
  ...figures,
];

/** What was on the screens when a story failed. */
const FAILURES = join(import.meta.dirname, "../failures");

const [program, ...words] = process.argv.slice(2);
if (!program) throw new Error("npm run stories -- GROUND [WORD]...");
const wanted = words.filter((word) => !word.startsWith("--"));

const ground = await Ground.start(program, join(import.meta.dirname, "../dist"));
const address = ground.server;
const browser = await launch();
// The server knows people once they have signed in.
for (const login of ["ann", "bob", "cat", "dan"]) {
  const visitor = await Visitor.signIn(browser, address, login);
  await visitor.live();
  await visitor.close();
}
let failed = 0;
for (const [name, play] of STORIES) {
  if (wanted.length > 0 && !wanted.some((word) => name.includes(word))) continue;
  const began = performance.now();
  try {
    const said = await play({ browser, ground, address, keepPictures: words.includes("--pictures") });
    if (Visitor.broken.length > 0) throw new Error(`against the policy: ${Visitor.broken.join("\n")}`);
    console.log(`ok    ${name} (${((performance.now() - began) / 1000).toFixed(1)} s)${said ? `: ${said}` : ""}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}: ${error instanceof Error ? error.stack : String(error)}`);
    const pages = browser.contexts().flatMap((context) => context.pages());
    for (const [n, page] of pages.entries()) await page.screenshot({ path: join(FAILURES, `${failed}-${n}.png`) }).catch(() => undefined);
  }
  Visitor.broken.length = 0;
  for (const context of browser.contexts()) await context.close();
}
await browser.close();
await ground.end();
process.exit(failed > 0 ? 1 : 0);
