/** What is told on the desktop. */

import { Visitor } from "./browser.js";
import { calm, check, until, type Story } from "./story.js";

/** Notes the notifications that the page shows, beside showing them. */
const NOTED = `
  globalThis.told = [];
  globalThis.Notification = class extends Notification {
    constructor(title, options) {
      super(title, options);
      globalThis.told.push(title + ": " + options.body);
    }
  };`;

const told = (visitor: Visitor) => visitor.page.evaluate(() => (globalThis as unknown as { told: string[] }).told);

/** Playwright lets every page believe that it has the focus: here they are as they are. */
async function honest(visitor: Visitor): Promise<void> {
  const session = await visitor.context.newCDPSession(visitor.page);
  await session.send("Emulation.setFocusEmulationEnabled", { enabled: false });
}

export const notifications: readonly Story[] = [
  [
    "a mention is told on the desktop once, by one tab, and only where nobody looks",
    async ({ browser, address }) => {
      const ann = await Visitor.open(browser, address);
      await ann.context.grantPermissions(["notifications"], { origin: address });
      await ann.context.addInitScript(NOTED);
      await ann.passIssuer("ann");
      await ann.createRoom("told", ["bob"]);
      await ann.createRoom("looked at", ["bob"]);
      const bob = await Visitor.signIn(browser, address, "bob");
      await ann.page.goto(`${address}/settings/general`);
      await ann.page.click('label:has-text("Mentions and direct messages")');
      const second = await ann.tab(`${address}/settings/general`);
      await second.live();
      await honest(ann);
      await honest(second);
      await second.openRoom("looked at");
      await second.page.bringToFront();
      await until("the second tab has the focus", () => second.page.evaluate(() => document.hasFocus()));
      check(!(await ann.page.evaluate(() => document.hasFocus())), "both tabs have the focus");

      await bob.openRoom("looked at");
      await bob.sayTo("@Ann in front of you");
      await second.sees("in front of you");
      await bob.openRoom("told");
      await bob.say("no mention");
      await bob.sayTo("@Ann over here");
      await until("the mention is told", async () => (await told(ann)).length > 0);
      await second.openRoom("told");
      await second.say("one's own, @Ann");
      await bob.sees("one's own");
      await bob.sayTo("@Ann in front of you again");
      await second.sees("in front of you again");
      // The next is told, so what came before it was not.
      await second.page.click('a.rooms-row:has-text("looked at")');
      await second.page.waitForSelector('h1:has-text("looked at")');
      await bob.sayTo("@Ann once more");
      await until("the next is told", async () => (await told(ann)).length > 1);
      const all = await told(ann);
      check(
        all.length === 2 && (all[0] ?? "").startsWith("told: Bob") && (all[0] ?? "").endsWith("over here") && (all[1] ?? "").endsWith("once more"),
        `told: ${all.join(" | ")}`,
      );
      check((await told(second)).length === 0, `told by the second tab as well: ${(await told(second)).join(" | ")}`);
      calm(ann, second, bob);
    },
  ],
];
