/** A room with ten thousand messages. */

import { Visitor } from "./browser.js";
import { calm, check, until, type Story } from "./story.js";

const COUNT = 10_000;

export const long: readonly Story[] = [
  [
    "ten thousand messages are scrolled without a jump",
    async ({ browser, address, ground }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("archive", []);
      await ann.say("number 0");
      await ann.page.waitForSelector('.message[data-state="Sent"]');
      await ground.say(`fill ann ${new URL(ann.page.url()).pathname.split("/")[2] ?? ""} ${COUNT - 1}`);
      await until("the newest is there", async () => (await ann.messages()).at(-1) === `number ${COUNT - 1}`, 60_000);
      const before = await heap(ann);
      const seen = await ann.page.evaluate(scrollUp, { steps: 220, by: 700 });
      check(seen.jumps === 0, `${seen.jumps} jumps, the worst of ${seen.worst.toFixed(0)} px`);
      check(seen.rows < 120, `${seen.rows} rows are drawn`);
      await ann.page.click(".timeline-latest");
      await until("back at the newest", async () => (await ann.messages()).at(-1) === `number ${COUNT - 1}`);
      const after = await heap(ann);
      calm(ann);
      return `${seen.rows} rows drawn, longest frame ${seen.frame.toFixed(0)} ms, heap ${before.toFixed(1)} to ${after.toFixed(1)} MB`;
    },
  ],
];

async function heap(visitor: Visitor): Promise<number> {
  const session = await visitor.context.newCDPSession(visitor.page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize / 1024 / 1024;
}

/** Scrolls up in steps; a row that does not move with the others has jumped. Runs in the page. */
async function scrollUp({ steps, by }: { steps: number; by: number }) {
  const scroller = document.querySelector(".timeline-scroller");
  if (!scroller) throw new Error("no timeline");
  const frame = () => new Promise<number>((resolve) => requestAnimationFrame(resolve));
  const tops = () => {
    const found = new Map<string, number>();
    for (const row of document.querySelectorAll<HTMLElement>(".timeline-row")) found.set(row.dataset["key"] ?? "", row.getBoundingClientRect().top);
    return found;
  };
  let [jumps, worst, rows, longest] = [0, 0, 0, 0];
  for (let n = 0; n < steps; n += 1) {
    // At the upper end one waits for the page that is coming.
    for (let waited = 0; scroller.scrollTop < by && waited < 200; waited += 1) await frame();
    if (scroller.scrollTop < by) break;
    const was = tops();
    const began = performance.now();
    scroller.scrollTop -= by;
    await frame();
    await frame();
    longest = Math.max(longest, (performance.now() - began) / 2);
    const now = tops();
    rows = Math.max(rows, now.size);
    for (const [key, top] of now) {
      const old = was.get(key);
      if (old === undefined || top < 0 || top > innerHeight) continue;
      const off = Math.abs(top - old - by);
      if (off > 2) {
        jumps += 1;
        worst = Math.max(worst, off);
      }
    }
  }
  return { jumps, worst, rows, frame: longest };
}
