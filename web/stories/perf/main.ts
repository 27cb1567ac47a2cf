/**
 * Prints where the time goes: `npm run perf -- GROUND [PAGE]`, with the program `ground` and the folder of a built page, so that
 * two can be compared. What is printed moves with the machine: compare what was measured in the same minutes.
 */

import { join } from "node:path";
import { launch, Visitor } from "../browser.js";
import { Ground } from "../ground.js";
import { probe } from "./probe.js";
import { send } from "./send.js";
import { signIn } from "./signin.js";

const [program, page = join(import.meta.dirname, "../../dist")] = process.argv.slice(2);
if (!program) throw new Error("npm run perf -- GROUND [PAGE]");
const ground = await Ground.start(program, page);
const browser = await launch();
const prepare = async (visitor: Visitor) => void (await visitor.context.addInitScript(probe));
for (const login of ["ann", "bob"]) {
  const visitor = await Visitor.signIn(browser, ground.server, login);
  await visitor.live();
  await visitor.close();
}
console.log("a message, from the click to the other's screen:");
await send(browser, ground.server, prepare);
console.log("a thousand rooms:");
await signIn(browser, ground, ground.server, ["guest0", "guest1"], prepare);
await browser.close();
await ground.end();
process.exit(0);
