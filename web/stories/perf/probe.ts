/** Where the time goes in a page: marks on what it asks of the browser, set from outside, so that the app is measured as it is. */

import type { Page } from "playwright-core";

/** Something that happened in a page, in milliseconds since 1970: browsers of one machine have one clock. */
export interface Mark {
  /** `call X`, `answer X`, `read`, `begin MODE`, `end MODE`, `shown TEXT`, `painted TEXT`, or a name of the measurement's own. */
  readonly name: string;
  readonly at: number;
  /** A begin and its end have the same. */
  readonly id?: number;
}

/** What runs in a page before its own scripts. */
export function probe(): void {
  // More than a page has by itself, and fewer than a measurement sets.
  performance.setResourceTimingBufferSize(1_000);
  const mark = (name: string, id = 0) => performance.mark(name, { detail: id });
  const ask = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const name = new URL(input instanceof Request ? input.url : input, location.href).pathname.split("/").at(-1);
    mark(`call ${name}`);
    const answer = await ask(input, init);
    mark(`answer ${name}`);
    return answer;
  };
  const reader = ReadableStreamDefaultReader.prototype;
  const read = reader.read;
  reader.read = async function (this: ReadableStreamDefaultReader) {
    const chunk = await read.call(this);
    if (!chunk.done) mark("read");
    return chunk;
  };
  let transactions = 0;
  const begin = IDBDatabase.prototype.transaction;
  IDBDatabase.prototype.transaction = function (...asked) {
    const transaction = begin.apply(this, asked);
    const id = ++transactions;
    mark(`begin ${transaction.mode}`, id);
    transaction.addEventListener("complete", () => mark(`end ${transaction.mode}`, id));
    return transaction;
  };
  const seen = new Set<string>();
  const look = () => {
    for (const element of document.querySelectorAll(".message-text, .rooms-name")) {
      const text = element.textContent ?? "";
      if (seen.has(text)) continue;
      seen.add(text);
      mark(`shown ${text}`);
      requestAnimationFrame(() => setTimeout(() => mark(`painted ${text}`)));
    }
  };
  new MutationObserver(look).observe(document, { childList: true, subtree: true, characterData: true });
}

/** All marks of a page, in their order. */
export async function marksOf(page: Page): Promise<readonly Mark[]> {
  return page.evaluate(() =>
    performance.getEntriesByType("mark").map((entry) => {
      return { name: entry.name, at: performance.timeOrigin + entry.startTime, id: Number((entry as PerformanceMark).detail) };
    }),
  );
}

/** The first mark of a name, or that begins so with `*`, not before a time. */
export function after(marks: readonly Mark[], name: string, since: number): Mark | undefined {
  const is = (mark: Mark) => (name.endsWith("*") ? mark.name.startsWith(name.slice(0, -1)) : mark.name === name);
  return marks.find((mark) => mark.at >= since && is(mark));
}

/** The median and the 95th percentile, in milliseconds. */
export function spread(times: readonly number[]): string {
  const sorted = times.filter((time) => !Number.isNaN(time)).toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] ?? NaN).toFixed(1).padStart(7);
  return `p50 ${at(0.5)}  p95 ${at(0.95)}`;
}
