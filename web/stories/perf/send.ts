/** From the click to the other's screen, step by step. */

import type { Browser } from "playwright-core";
import { Visitor } from "../browser.js";
import { after, marksOf, spread } from "./probe.js";

const MESSAGES = 60;

/** After the line was filled, before it is sent, as nobody presses Enter at once. */
const REST_MS = 300;

/** The steps, each to the next, and the way as a whole. */
const STEPS = ["click to store", "store (strict)", "store to wire", "wire, server, frame", "frame to store", "store", "lists, diff, React", "paint"];

/** Sends messages one by one and prints how long each step took. */
export async function send(browser: Browser, address: string, prepare: (visitor: Visitor) => Promise<void>): Promise<void> {
  const [ann, bob] = [await Visitor.open(browser, address), await Visitor.open(browser, address)];
  for (const [visitor, login] of [[ann, "ann"], [bob, "bob"]] as const) {
    await prepare(visitor);
    await visitor.passIssuer(login);
    await visitor.live();
  }
  const room = `race ${Date.now()}`;
  await ann.createRoom(room, ["bob"]);
  await bob.openRoom(room);
  const texts = Array.from({ length: MESSAGES }, (_, n) => `ping ${n} of ${room}`);
  for (const text of texts) {
    await ann.page.fill(".composer textarea", text);
    await ann.page.waitForTimeout(REST_MS);
    await ann.page.evaluate((said) => {
      performance.mark(`click ${said}`);
      document.querySelector<HTMLTextAreaElement>(".composer textarea")?.form?.requestSubmit();
    }, text);
    await bob.sees(text);
  }
  const [ours, theirs] = [await marksOf(ann.page), await marksOf(bob.page)];
  const ways = texts.map((text) => {
    const click = after(ours, `click ${text}`, 0)?.at ?? NaN;
    const begin = after(ours, "begin readwrite", click);
    const end = ours.find((mark) => mark.name === "end readwrite" && mark.id === begin?.id)?.at ?? NaN;
    const call = after(ours, "call SendMessage", click)?.at ?? NaN;
    const frame = after(theirs, "read", call)?.at ?? NaN;
    const write = after(theirs, "begin readwrite", frame);
    const written = theirs.find((mark) => mark.name === "end readwrite" && mark.id === write?.id)?.at ?? NaN;
    const shown = after(theirs, `shown ${text}`, 0)?.at ?? NaN;
    const painted = after(theirs, `painted ${text}`, 0)?.at ?? NaN;
    return [click, begin?.at ?? NaN, end, call, frame, write?.at ?? NaN, written, shown, painted];
  });
  for (const [step, name] of STEPS.entries()) {
    console.log(`  ${name.padEnd(22)} ${spread(ways.map((way) => (way[step + 1] ?? NaN) - (way[step] ?? NaN)))}`);
  }
  console.log(`  ${"click to seen".padEnd(22)} ${spread(ways.map((way) => (way[7] ?? NaN) - (way[0] ?? NaN)))}`);
  await ann.close();
  await bob.close();
}
