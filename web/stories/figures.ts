/** How it is with much of everything. Times are printed; what is claimed are counts. */

import { Visitor } from "./browser.js";
import { calm, until, type Story } from "./story.js";

const ROOMS = 1_000;

/** Notes when a chat and the list of rooms were seen first, in milliseconds since the browser began to open the page. */
const NOTED = `
  globalThis.seen = {};
  const look = () => {
    if (document.querySelector(".message-text")) seen.chat ??= performance.now();
    if (document.querySelector(".rooms-row")) seen.list ??= performance.now();
  };
  new MutationObserver(look).observe(document, { childList: true, subtree: true });`;

async function noted(visitor: Visitor): Promise<string> {
  const { chat = NaN, list = NaN } = await visitor.page.evaluate(() => (globalThis as unknown as { seen: { chat?: number; list?: number } }).seen);
  return `the chat after ${chat.toFixed(0)} ms, the list after ${list.toFixed(0)} ms`;
}

export const figures: readonly Story[] = [
  [
    "with a thousand rooms a chat is there soon after the sign-in",
    async ({ browser, address, ground }) => {
      for (const login of ["guest0", "guest1"]) {
        const guest = await Visitor.signIn(browser, address, login);
        await guest.live();
        await guest.close();
      }
      const { room } = await ground.say(`crowd guest0 guest1 ${ROOMS}`);
      const guest = await Visitor.open(browser, `${address}/rooms/${room}`);
      await guest.context.addInitScript(NOTED);
      await guest.passIssuer("guest0");
      await guest.sees("hello in room");
      const all = async () => (await guest.page.locator(`.rooms-scroller li[aria-setsize="${ROOMS}"]`).count()) > 0;
      await until("all rooms are in the list", all, 60_000);
      const first = await noted(guest);
      // One is read, because one looks at it.
      await until("all others are unread", async () => (await guest.page.title()).startsWith("(999)"), 60_000);
      await guest.live();
      await guest.page.reload();
      await guest.sees("hello in room");
      await until("all rooms are in the list again", all);
      await until("all others are unread", async () => (await guest.page.title()).startsWith("(999)"));
      calm(guest);
      return `after the sign-in ${first}; after a reload ${await noted(guest)}`;
    },
  ],
];
