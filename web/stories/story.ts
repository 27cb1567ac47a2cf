import type { Browser } from "playwright-core";
import type { AxeResults, run as Run } from "axe-core";
import { createRequire } from "node:module";
import { PATIENCE_MS, type Visitor } from "./browser.js";
import type { Ground } from "./ground.js";

/** What a story has. */
export interface Stage {
  readonly browser: Browser;
  readonly ground: Ground;
  /** Where the server is, which serves the page too. */
  readonly address: string;
  /** Whether screenshots are written into the repository. */
  readonly keepPictures: boolean;
}

/** A claim, and the play that shows it; what it answers is printed beside its name. */
export type Story = readonly [name: string, play: (stage: Stage) => Promise<string | void>];

/** Fails the story when something does not hold. */
export function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

/** Waits until something holds. */
export async function until(what: string, holds: () => Promise<boolean>, patienceMs = PATIENCE_MS): Promise<void> {
  const end = Date.now() + patienceMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not within ${patienceMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The page had nothing to complain of. */
export function calm(...visitors: readonly Visitor[]): void {
  for (const visitor of visitors) check(visitor.complaints.length === 0, `complaints: ${visitor.complaints.join("\n")}`);
}

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** No serious finding of axe-core on what is shown. */
export async function accessible(visitor: Visitor, where: string): Promise<void> {
  const { readFile } = await import("node:fs/promises");
  // By the debugger: the page's policy lets nothing else in.
  await visitor.page.evaluate(await readFile(axe, "utf8"));
  const found = await visitor.page.evaluate(async () => {
    const { axe: checker } = window as unknown as { axe: { run: typeof Run } };
    const results: AxeResults = await checker.run(document, { resultTypes: ["violations"] });
    return results.violations
      .filter((violation) => violation.impact === "serious" || violation.impact === "critical")
      .map((violation) => `${violation.id}: ${violation.nodes.map((node) => `${node.html.slice(0, 160)} ${node.failureSummary ?? ""}`).join(" | ")}`);
  });
  check(found.length === 0, `${where}: ${found.join("\n")}`);
}
