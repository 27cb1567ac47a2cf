/** Without a network, and back. */

import { Visitor } from "./browser.js";
import { check, until, type Story } from "./story.js";

export const offline: readonly Story[] = [
  [
    "what is written offline waits, and is there once for both",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("tunnel", ["bob"]);
      await ann.say("before");
      const bob = await Visitor.signIn(browser, address, "bob");
      await bob.openRoom("tunnel");
      await bob.sees("before");
      await ann.context.setOffline(true);
      await ann.page.waitForSelector(".connection-bar");
      await ann.say("inside one");
      await ann.say("inside two");
      await ann.page.waitForSelector('.message[data-state="Queued"]');
      await bob.say("outside");
      await ann.context.setOffline(false);
      await bob.sees("inside two");
      await ann.sees("outside");
      await until("the bar is gone", async () => (await ann.page.locator(".connection-bar").count()) === 0);
      await until("both see the same", async () => JSON.stringify(await ann.messages()) === JSON.stringify(await bob.messages()));
      const seen = await bob.messages();
      check(new Set(seen).size === 4 && seen.length === 4, `not once each: ${seen.join(", ")}`);
    },
  ],
  [
    "a server that goes and comes back loses nothing",
    async ({ browser, address, ground }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("restart", ["bob"]);
      await ann.say("one");
      const bob = await Visitor.signIn(browser, address, "bob");
      await bob.openRoom("restart");
      await bob.sees("one");
      await ground.say("stop");
      await ann.page.waitForSelector(".connection-bar");
      await ann.say("two");
      await ground.say("start");
      await ann.page.click(".connection-bar .button").catch(() => undefined);
      await bob.sees("two");
      const seen = await bob.messages();
      check(seen.join() === "one,two", `bob sees ${seen.join()}`);
    },
  ],
];
