/** Rooms with ten thousand and a hundred thousand messages. */

import { Visitor } from "./browser.js";
import { calm, check, until, type Story } from "./story.js";

const COUNT = 10_000;
const MANY = 100_000;

/** How many times slower a machine is that people still work on. */
const SLOW = 6;

/** Milliseconds that nobody should wait for a frame. */
const LONG_MS = 50;

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
  [
    "in a room of a hundred thousand messages one scrolls as in any other",
    async ({ browser, address, ground }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("century", []);
      await ann.say("number 0");
      await ann.page.waitForSelector('.message[data-state="Sent"]');
      const room = ann.page.url();
      await ann.page.goto("about:blank");
      await ground.say(`pour ann ${new URL(room).pathname.split("/")[2] ?? ""} ${MANY - 1}`);
      await ann.page.goto(room);
      await until("the newest is there", async () => (await ann.messages()).at(-1) === `number ${MANY - 1}`, 60_000);
      const before = await heap(ann);
      await browser.startTracing(ann.page, { categories: ["toplevel", "disabled-by-default-devtools.timeline", "__metadata"] });
      const seen = await ann.page.evaluate(scrollUp, { steps: 400, by: 700 });
      const tasks = tasksOf(await browser.stopTracing());
      check(seen.jumps === 0, `${seen.jumps} jumps, the worst of ${seen.worst.toFixed(0)} px`);
      check(seen.rows < 120, `${seen.rows} rows are drawn`);
      const oldest = Number(/\d+/u.exec((await ann.messages())[0] ?? "")?.[0]);
      check(oldest < MANY - 1 - 400 * 10, `one came no further than to number ${oldest}`);
      // On a machine that is slower, pages and heights come later than one scrolls.
      const slow = await ann.context.newCDPSession(ann.page);
      await slow.send("Emulation.setCPUThrottlingRate", { rate: SLOW });
      const slowly = await ann.page.evaluate(scrollUp, { steps: 40, by: 700 });
      await slow.detach();
      check(slowly.jumps === 0, `when slow, ${slowly.jumps} jumps, the worst of ${slowly.worst.toFixed(0)} px`);
      const after = await heap(ann);
      calm(ann);
      const long = tasks.filter((ms) => ms > LONG_MS).length;
      return (
        `down to number ${oldest}, ${seen.rows} rows drawn, longest task ${Math.max(...tasks).toFixed(0)} ms of ${tasks.length}, ` +
        `${long} over ${LONG_MS} ms, longest frame ${seen.frame.toFixed(0)} ms, heap ${before.toFixed(1)} to ${after.toFixed(1)} MB`
      );
    },
  ],
];

/** How long the tasks of the page's main thread took, in milliseconds: no frame is drawn meanwhile. */
function tasksOf(trace: Buffer): number[] {
  interface Event {
    readonly name: string;
    readonly pid: number;
    readonly tid: number;
    readonly dur?: number;
    readonly args: { readonly name?: string };
  }
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: Event[] };
  const mains = new Set(
    traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(({ pid, tid }) => `${pid} ${tid}`),
  );
  const tasks = traceEvents.filter(({ name, pid, tid }) => name === "RunTask" && mains.has(`${pid} ${tid}`));
  check(tasks.length > 0, "the trace has no tasks of the page");
  return tasks.map(({ dur = 0 }) => dur / 1000);
}

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
    // From where the timeline begins: a bar above it, as when the connection is lost, moves it as a whole.
    const { top } = scroller.getBoundingClientRect();
    for (const row of document.querySelectorAll<HTMLElement>(".timeline-row")) found.set(row.dataset["key"] ?? "", row.getBoundingClientRect().top - top);
    return found;
  };
  let [jumps, worst, rows, longest] = [0, 0, 0, 0];
  for (let n = 0; n < steps; n += 1) {
    // At the upper end one waits for the page that is coming.
    for (const since = performance.now(); scroller.scrollTop < by && performance.now() < since + 30_000; ) await frame();
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
