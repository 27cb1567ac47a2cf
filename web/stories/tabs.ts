/** Several tabs of one browser, and pages that are left and come back to. */

import { launch, Visitor } from "./browser.js";
import { calm, check, until, type Story } from "./story.js";

export const tabs: readonly Story[] = [
  [
    "the tab that holds the stream is closed in the middle of a talk: another goes on live, nothing lost, nothing twice",
    async ({ browser, address }) => {
      const first = await Visitor.signIn(browser, address, "ann");
      await first.createRoom("relay", ["bob"]);
      const second = await first.tab(first.page.url());
      await second.page.waitForSelector(".composer");
      const bob = await Visitor.signIn(browser, address, "bob");
      await bob.openRoom("relay");
      const talk = Array.from({ length: 24 }, (_, n) => `line ${n}`);
      const talking = (async () => {
        for (const line of talk) await bob.say(line);
      })();
      await second.sees("line 4");
      await first.say("last words of the first");
      await first.page.locator(".message", { hasText: "last words" }).waitFor();
      await first.page.close();
      await second.say("the second goes on");
      await talking;
      await second.sees("line 23");
      await bob.sees("last words of the first");
      await bob.sees("the second goes on");
      await second.live();
      await second.isQuiet();
      await until("both see the same", async () => JSON.stringify(await second.messages()) === JSON.stringify(await bob.messages()));
      const seen = await bob.messages();
      const wanted = [...talk, "last words of the first", "the second goes on"];
      check(seen.length === wanted.length && wanted.every((text) => seen.includes(text)), `seen: ${seen.join(", ")}`);
      check(seen.filter((text) => talk.includes(text)).join() === talk.join(), `not in order: ${seen.join(", ")}`);
      calm(second, bob);
    },
  ],
  [
    "somebody else who signs in in another tab changes nothing in the first, which says so",
    async ({ browser, address }) => {
      const first = await Visitor.open(browser, address);
      await first.page.waitForSelector(".signin");
      const second = await first.tab(address);
      await second.page.waitForSelector(".signin");
      await first.passIssuer("ann");
      await first.createRoom("one browser", ["bob", "cat"]);
      await second.passIssuer("bob");
      await first.page.waitForSelector('.connection-bar:has-text("Bob"):has-text("still Ann")');
      await second.isQuiet();
      const cat = await Visitor.signIn(browser, address, "cat");
      await cat.openRoom("one browser");
      await second.openRoom("one browser");
      // A reload is no sign-in, and a new tab is that of whoever signed in last.
      await first.page.reload();
      await first.page.waitForSelector('.connection-bar:has-text("still Ann")');
      const third = await first.tab(first.page.url());
      await third.page.waitForSelector(".composer");
      const whose = async (tab: Visitor) => (await tab.page.textContent(".shell-person bdi")) ?? "";
      const said = [[first, "Ann"], [second, "Bob"], [third, "Bob"]] as const;
      for (const [at, [tab, name]] of said.entries()) {
        await until(`the tab is ${name}'s`, async () => (await whose(tab)).startsWith(name));
        await tab.say(`by ${name} in ${await whose(tab)}'s tab`);
        await until("it is seen", async () => (await cat.messages()).length === at + 1);
      }
      const senders = await cat.page.$$eval(".timeline-row[role=article]", (rows) =>
        rows.map((row) => `${row.getAttribute("aria-label")?.split(" ")[0]}: ${row.querySelector(".message-text")?.textContent}`),
      );
      const wrong = senders.filter((line) => !/^(\w+): by \1 in/u.test(line));
      check(senders.length === 3 && wrong.length === 0, `in a wrong name: ${senders.join(", ")}`);
      calm(first, second, third, cat);
    },
  ],
  [
    "a page that is left holds up no other tab, and goes on where it was when one comes back",
    async ({ address }) => {
      const browser = await launch(true);
      try {
        const first = await Visitor.signIn(browser, address, "ann");
        await first.createRoom("back and forth", ["bob"]);
        const second = await first.tab(first.page.url());
        await second.page.waitForSelector(".composer");
        const bob = await Visitor.signIn(browser, address, "bob");
        await bob.openRoom("back and forth");
        await bob.say("before");
        await first.sees("before");
        await first.page.locator(".composer textarea").pressSequentially("half a line");
        const given = await whyGivenUp(first);
        await first.page.evaluate(typeUntilLeft);
        await first.page.waitForFunction(() => document.querySelector<HTMLTextAreaElement>(".composer textarea")?.value.endsWith("."));
        await first.page.goto("about:blank");
        await bob.say("meanwhile");
        await second.sees("meanwhile");
        await second.say("from the second");
        await bob.sees("from the second");
        await first.page.goBack({ waitUntil: "commit" });
        await first.sees("from the second");
        const typed = await first.page.evaluate(() => ("typed" in window ? window.typed : "it is another page than the one that was left"));
        const held = await first.page.inputValue(".composer textarea");
        check(held === typed && /^half a line\.+$/u.test(held), `typed: ${String(typed)} (${given.join()}); held: ${held}`);
        await first.live();
        await first.page.press(".composer textarea", "Enter");
        await bob.sees("half a line");
        const wanted = ["before", "meanwhile", "from the second", held];
        for (const visitor of [first, second, bob]) {
          await until("all see the same", async () => (await visitor.messages()).join() === wanted.join());
          await visitor.isQuiet();
        }
        calm(first, second, bob);
      } finally {
        await browser.close();
      }
    },
  ],
];

/** Types on and on, so that the page is left in the middle of writing that down, and notes what was typed. Runs in the page. */
function typeUntilLeft(): void {
  const timer = setInterval(() => document.execCommand("insertText", false, "."));
  const note = () => {
    clearInterval(timer);
    Object.assign(window, { typed: document.querySelector<HTMLTextAreaElement>(".composer textarea")?.value });
  };
  addEventListener("pagehide", note, { once: true });
}

/** Why the browser did not keep a page that was left, as it says when one comes back. */
async function whyGivenUp({ context, page }: Visitor): Promise<readonly string[]> {
  const reasons: string[] = [];
  const session = await context.newCDPSession(page);
  await session.send("Page.enable");
  session.on("Page.backForwardCacheNotUsed", ({ notRestoredExplanations }) => {
    for (const { reason } of notRestoredExplanations) reasons.push(reason);
  });
  return reasons;
}
