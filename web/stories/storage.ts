/** What the browser keeps, or does not. */

import { Visitor } from "./browser.js";
import { calm, check, until, type Story } from "./story.js";

/** Chromium looks at a quota again after half a minute. */
const LOOKED_AT_MS = 60_000;

/** Between messages: until then they would be very many. */
const PACE_MS = 1_000;

/** Messages at the end that both have on their screens. */
const COMPARED = 10;

export const storage: readonly Story[] = [
  [
    "when there is no room any more on the disk everything goes on from memory, and that is said",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("full disk", ["bob"]);
      const bob = await Visitor.signIn(browser, address, "bob");
      await bob.openRoom("full disk");
      // It holds for as long as the session, which a page of its own keeps.
      const keeper = await ann.tab(`${address}/config.json`);
      const session = await ann.context.newCDPSession(keeper.page);
      await session.send("Storage.overrideQuotaForOrigin", { origin: address, quotaSize: 1 });
      const said: string[] = [];
      const say = async (text: string) => {
        said.push(text);
        await ann.say(text);
        await ann.page.waitForSelector(`.message[data-state="Sent"] .message-text:text-is("${text}")`);
      };
      await until(
        "the disk is full",
        async () => {
          await say(`number ${said.length}`);
          await new Promise((resolve) => setTimeout(resolve, PACE_MS));
          return (await ann.page.locator('.connection-bar:has-text("The disk is full")').count()) > 0;
        },
        LOOKED_AT_MS,
      );
      await bob.say("still heard?");
      await ann.sees("still heard?");
      await say("still heard");
      await bob.sees("still heard");
      const end = async (visitor: Visitor) => (await visitor.messages()).slice(-COMPARED);
      await until("both see the same", async () => JSON.stringify(await end(ann)) === JSON.stringify(await end(bob)));
      const seen = (await end(bob)).filter((text) => text !== "still heard?");
      check(seen.join() === said.slice(-seen.length).join() && seen.length > 1, `not once each, in order: ${seen.join()}`);
      await session.send("Storage.overrideQuotaForOrigin", { origin: address });
      await session.detach();
      calm(ann, bob);
      return `after ${said.length - 1} messages`;
    },
  ],
];
