/** Two people in one room. */

import { Visitor } from "./browser.js";
import { accessible, calm, check, until, type Story } from "./story.js";

/** The median and the 95th percentile. */
function percentiles(times: number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(0);
  return `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms`;
}

export const chat: readonly Story[] = [
  [
    "what one writes the other sees at once, and who has read it shows",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("plans", ["bob"]);
      const bob = await Visitor.signIn(browser, address, "bob");
      await bob.openRoom("plans");
      await ann.say("hello bob");
      await bob.sees("hello bob");
      await bob.say("hello ann");
      await ann.sees("hello ann");
      await ann.page.bringToFront();
      await until("bob has read", async () => (await ann.page.locator('.message-progress[data-reach="Read"]').count()) > 0);
      await accessible(ann, "chat");
      calm(ann, bob);
    },
  ],
  [
    "a message is seen in the other browser soon after it was sent",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("race", ["bob"]);
      const bob = await Visitor.signIn(browser, address, "bob");
      await bob.openRoom("race");
      // Browsers of one machine have one clock.
      await bob.page.evaluate(() => {
        const seen: Record<string, number> = {};
        Object.assign(window, { seen });
        new MutationObserver(() => {
          for (const element of document.querySelectorAll(".message-text")) seen[element.textContent ?? ""] ??= Date.now();
        }).observe(document.body, { childList: true, subtree: true, characterData: true });
      });
      const sent = new Map<string, number>();
      for (let n = 0; n < 40; n += 1) {
        const text = `ping ${n}`;
        await ann.page.fill(".composer textarea", text);
        const began = await ann.page.evaluate(() => {
          const area = document.querySelector<HTMLTextAreaElement>(".composer textarea");
          const now = Date.now();
          area?.form?.requestSubmit();
          return now;
        });
        sent.set(text, began);
        await bob.sees(text);
      }
      const seen = await bob.page.evaluate(() => (window as unknown as { seen: Record<string, number> }).seen);
      const times = [...sent].map(([text, began]) => (seen[text] ?? Infinity) - began);
      check(times.every((time) => time < 5_000), `too late: ${times.join(" ")}`);
      calm(ann, bob);
      return percentiles(times);
    },
  ],
  [
    "the last own message is edited in place by ArrowUp, and a deleted one is gone for both",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("edits", ["bob"]);
      const bob = await Visitor.signIn(browser, address, "bob");
      await bob.openRoom("edits");
      await ann.say("frist");
      await bob.sees("frist");
      await ann.page.press(".composer textarea", "ArrowUp");
      await ann.page.fill(".editor textarea", "first");
      await ann.page.reload();
      await ann.page.waitForSelector(".editor textarea");
      check((await ann.page.inputValue(".editor textarea")) === "first", "the edit was lost by the reload");
      await ann.page.press(".editor textarea", "Enter");
      await bob.sees("first");
      await ann.page.press(".composer textarea", "Shift+Tab");
      await ann.page.keyboard.press("Delete");
      await ann.page.click(".dialog .button.main");
      await bob.page.waitForSelector(".message-deleted");
      check(!(await bob.messages()).some((text) => text.includes("first")), "the text is still there");
      calm(ann, bob);
    },
  ],
  [
    "whoever writes is shown, and a mention has its own badge",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("typing", ["bob"]);
      const bob = await Visitor.signIn(browser, address, "bob");
      await bob.page.waitForSelector('.rooms-row:has-text("typing")');
      await ann.page.locator(".composer textarea").pressSequentially("@bo");
      await ann.page.waitForSelector(".mention-list [role=option]");
      await ann.page.keyboard.press("Enter");
      await ann.page.keyboard.type("look");
      await ann.page.keyboard.press("Enter");
      await bob.page.waitForSelector('.rooms-row:has-text("typing") .badge.mention');
      await bob.openRoom("typing");
      await bob.page.waitForSelector('.message[data-mentions="true"]');
      await bob.page.waitForSelector('.rooms-row:has-text("typing"):not(:has(.badge))');
      // It is told once in a while, not at every key.
      await until("bob sees that ann writes", async () => {
        await ann.page.locator(".composer textarea").pressSequentially("more ", { delay: 20 });
        return /Ann/u.test((await bob.page.textContent(".typing")) ?? "");
      });
      calm(ann, bob);
    },
  ],
  [
    "everything is done by the keyboard alone",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("keys one", ["bob"]);
      await ann.say("from the first");
      await ann.sees("from the first");
      await ann.createRoom("keys two", []);
      const { keyboard } = ann.page;
      await keyboard.press("Control+k");
      await ann.page.waitForSelector(".palette");
      await accessible(ann, "palette");
      await keyboard.type("keys one");
      await ann.page.waitForSelector('.palette [aria-selected="true"]:has-text("keys one")');
      await keyboard.press("Enter");
      await ann.sees("from the first");
      await keyboard.type("by hand");
      await keyboard.press("Enter");
      await ann.sees("by hand");
      await keyboard.press("Shift+Tab");
      await keyboard.press("ArrowUp");
      await until("the focus is on the message above", () =>
        ann.page.evaluate(() => document.activeElement?.textContent?.includes("from the first") ?? false),
      );
      await keyboard.press("e");
      await ann.page.waitForSelector(".editor textarea:focus");
      await keyboard.press("End");
      await keyboard.type("!");
      await keyboard.press("Enter");
      await ann.sees("from the first!");
      await until("the focus is back in the line", () => ann.page.evaluate(() => document.activeElement?.matches(".composer textarea") ?? false));
      await keyboard.press("Alt+ArrowDown");
      await until("the next room", async () => (await ann.page.textContent(".conversation h1")) !== "keys one");
      calm(ann);
    },
  ],
];
