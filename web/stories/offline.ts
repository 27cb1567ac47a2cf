/** Without a network, and back. */

import { Visitor } from "./browser.js";
import { Proxy } from "./proxy.js";
import { calm, check, until, type Story } from "./story.js";

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
  [
    "a proxy that loses the server in the middle of a stream is got over, and nothing that was typed is lost",
    async ({ browser, address }) => {
      const proxy = await Proxy.start(address);
      try {
        const ann = await Visitor.signIn(browser, proxy.address, "ann");
        await ann.createRoom("gateway", ["bob"]);
        await ann.say("before");
        const bob = await Visitor.signIn(browser, address, "bob");
        await bob.openRoom("gateway");
        await bob.sees("before");
        proxy.turn("BadGateway");
        await ann.page.waitForSelector('.connection-bar[data-state="Offline"]');
        await ann.say("written meanwhile");
        await ann.page.waitForSelector('.message[data-state="Queued"]:has-text("written meanwhile")');
        await ann.page.locator(".composer textarea").pressSequentially("half a line");
        await bob.say("said meanwhile");
        proxy.turn("Through");
        // By itself.
        await ann.isQuiet();
        await ann.sees("said meanwhile");
        await bob.sees("written meanwhile");
        check((await ann.page.inputValue(".composer textarea")) === "half a line", "what was being typed is lost");
        await until("both see the same", async () => JSON.stringify(await ann.messages()) === JSON.stringify(await bob.messages()));
        const seen = await bob.messages();
        check(new Set(seen).size === 3 && seen.length === 3, `not once each: ${seen.join(", ")}`);
        calm(ann, bob);
      } finally {
        proxy.end();
      }
    },
  ],
  [
    "a page of something else in place of the server's answers is said to be that, and got over",
    async ({ browser, address }) => {
      const proxy = await Proxy.start(address);
      try {
        proxy.turn("Page");
        const ann = await Visitor.open(browser, proxy.address);
        // Before anybody is signed in: said, with a way on.
        await ann.page.waitForSelector(".signin .trouble");
        proxy.turn("Through");
        await ann.page.click(".signin .button.main");
        await ann.page.waitForSelector(".signin:not(:has(.trouble))");
        await ann.passIssuer("ann");
        await ann.createRoom("hotel", []);
        proxy.turn("Page");
        await ann.page.waitForSelector('.connection-bar:has-text("Something else than Madang answers")');
        await ann.say("into the hotel's network");
        await ann.sees("into the hotel's network");
        // What is kept is shown, and what is written is kept, over a reload as well.
        await ann.page.reload();
        await ann.page.waitForSelector('.message[data-state="Queued"]:has-text("hotel\'s network")');
        proxy.turn("Through");
        await ann.isQuiet();
        await ann.page.waitForSelector('.message[data-state="Sent"]:has-text("hotel\'s network")');
        check((await ann.messages()).length === 1, "not once");
        calm(ann);
      } finally {
        proxy.end();
      }
    },
  ],
];
