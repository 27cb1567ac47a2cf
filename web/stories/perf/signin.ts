/** From the issuer's page to the first chat, with a thousand rooms, step by step. */

import type { Browser } from "playwright-core";
import { Visitor } from "../browser.js";
import type { Ground } from "../ground.js";
import { until } from "../story.js";
import { type Mark, marksOf } from "./probe.js";

const ROOMS = 1_000;

/** Prints what happened when until the chat was there, and then until all rooms were. */
export async function signIn(
  browser: Browser,
  ground: Ground,
  address: string,
  logins: readonly [string, string],
  prepare: (visitor: Visitor) => Promise<void>,
): Promise<void> {
  for (const login of logins) {
    const guest = await Visitor.signIn(browser, address, login);
    await guest.live();
    await guest.close();
  }
  const { room } = await ground.say(`crowd ${logins.join(" ")} ${ROOMS}`);
  const guest = await Visitor.open(browser, `${address}/rooms/${room}`);
  await prepare(guest);
  await guest.passIssuer(logins[0]);
  await guest.sees("hello in room");
  await until("all rooms are in the list", async () => (await guest.page.locator(`.rooms-scroller li[aria-setsize="${ROOMS}"]`).count()) > 0, 60_000);
  await guest.live();
  const began = await guest.page.evaluate(() => performance.timeOrigin);
  print("after the sign-in", await marksOf(guest.page), began);
  await guest.page.reload();
  await guest.sees("hello in room");
  const again = await guest.page.evaluate(() => performance.timeOrigin);
  print("after a reload", await marksOf(guest.page), again);
  await guest.close();
}

function print(title: string, marks: readonly Mark[], began: number): void {
  const chat = marks.find(({ name }) => name.startsWith("shown hello in room"))?.at ?? Infinity;
  console.log(`  ${title}: the chat after ${(chat - began).toFixed(0)} ms`);
  const told = new Set<string>();
  for (const { name, at } of marks) {
    const kind = name.startsWith("shown") ? name.replace(/\d+/u, "N") : name;
    if (told.has(kind) || /^(end|begin|painted)/u.test(kind) || at > chat) continue;
    told.add(kind);
    console.log(`    ${(at - began).toFixed(0).padStart(6)}  ${kind}`);
  }
  for (const mode of ["readwrite", "readonly"]) {
    const begun = marks.filter(({ name, at }) => name === `begin ${mode}` && at < chat);
    const times = begun.map(({ at, id }) => (marks.find((mark) => mark.name === `end ${mode}` && mark.id === id)?.at ?? NaN) - at);
    const most = Math.max(...times.filter((time) => !Number.isNaN(time)));
    console.log(`            ${begun.length} of ${mode} until then, the longest ${most.toFixed(0)} ms`);
  }
}
