/** Rooms, their members, and the list. */

import { Visitor } from "./browser.js";
import { accessible, calm, check, until, type Story } from "./story.js";

export const rooms: readonly Story[] = [
  [
    "whoever is removed while looking is told, and keeps what was read",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("council", ["bob"]);
      await ann.say("stay calm");
      const bob = await Visitor.signIn(browser, address, "bob");
      await bob.openRoom("council");
      await bob.sees("stay calm");
      await ann.page.click(".conversation-members");
      await ann.page.waitForSelector('.members-row:has-text("Bob")');
      await accessible(ann, "members");
      await ann.page.hover('.members-row:has-text("Bob")');
      await ann.page.click('.members-row:has-text("Bob") .icon-button');
      await ann.page.click(".dialog .button.main");
      await bob.page.waitForSelector(".outside");
      await bob.sees("stay calm");
      check((await bob.page.locator(".composer").count()) === 0, "one can still write");
      await bob.page.waitForSelector('.rooms:not(:has(.rooms-row:has-text("council")))');
      calm(ann, bob);
    },
  ],
  [
    "people are invited, leave, and join again",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("doors", []);
      await ann.page.click(".conversation-members");
      await ann.page.click(".members .pane-head .button");
      await ann.page.fill(".dialog [role=combobox]", "cat");
      await ann.page.waitForSelector(".offered [role=option]");
      await ann.page.press(".dialog [role=combobox]", "Enter");
      await ann.page.click(".dialog .button.main");
      const cat = await Visitor.signIn(browser, address, "cat");
      await cat.openRoom("doors");
      await ann.page.waitForSelector('.members-row:has-text("Cat")');
      await cat.page.click(".conversation-members");
      await cat.page.click(".members-foot .button");
      await cat.page.click(".dialog .button.main");
      await ann.page.waitForSelector('.members:not(:has(.members-row:has-text("Cat")))');
      await cat.page.click(".rooms-former summary");
      await cat.page.click('.rooms-former button:has-text("doors")');
      await cat.page.click(".outside .button >> nth=0");
      await cat.page.waitForSelector(".composer");
      await ann.page.waitForSelector('.members-row:has-text("Cat")');
      calm(ann, cat);
    },
  ],
  [
    "the list is filtered by text and by what is unread",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("홍길동 환송회", ["bob"]);
      await ann.createRoom("budget", ["bob"]);
      await ann.say("numbers");
      const bob = await Visitor.signIn(browser, address, "bob");
      await bob.page.fill(".rooms-filter input", "ㅎㄱㄷ");
      await until("one room", async () => (await bob.page.locator(".rooms-row").count()) === 1);
      await bob.page.fill(".rooms-filter input", "");
      await bob.page.click(".rooms-parts button >> nth=1");
      await bob.page.waitForSelector('.rooms-row:has-text("budget") .badge');
      await bob.openRoom("budget");
      await bob.sees("numbers");
      await bob.page.waitForSelector('.rooms:not(:has(.rooms-row:has-text("budget")))');
      calm(ann, bob);
    },
  ],
  [
    "a profile and a status are seen by others",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("faces", ["cat"]);
      const cat = await Visitor.signIn(browser, `${address}/settings/profile`, "cat");
      await cat.page.fill(".status-row input >> nth=1", "at lunch");
      await cat.page.click(".settings-form >> nth=0 >> .button.main");
      await accessible(cat, "profile");
      await ann.page.click(".conversation-members");
      await ann.page.waitForSelector('.members-row:has-text("at lunch")');
      await ann.page.click('.members-row:has-text("Cat") .members-open');
      await ann.page.click(".dialog .button.main");
      await until("the direct room is open", async () => (await ann.page.textContent(".conversation h1"))?.includes("Cat") ?? false);
      calm(ann, cat);
    },
  ],
];
