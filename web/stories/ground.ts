/** The real stack: PostgreSQL, an issuer and a server, started by the program `ground` and told by lines what to do. */

import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { createInterface } from "node:readline";

/** Longest wait for an answer: the first start fetches PostgreSQL. */
const PATIENCE_MS = 120_000;

/** A running stack. */
export class Ground {
  /** Where the server is. */
  readonly server: string;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcessWithoutNullStreams, lines: AsyncIterator<string>, said: Record<string, string>) {
    this.#child = child;
    this.#lines = lines;
    this.server = said["server"] ?? "";
  }

  /** Starts the program, whose server serves the page from a folder, and waits until it says where it is. */
  static async start(program: string, page: string): Promise<Ground> {
    const child = spawn(program, [page], { stdio: ["pipe", "pipe", "inherit"] }) as unknown as ChildProcessWithoutNullStreams;
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return new Ground(child, lines, await answer(lines));
  }

  /** Tells the stack something: `stop` and `start` of the server, `token LOGIN`. */
  async say(line: string): Promise<Record<string, string>> {
    this.#child.stdin.write(`${line}\n`);
    const said = await answer(this.#lines);
    if (said["error"]) throw new Error(`ground: ${line}: ${said["error"]}`);
    return said;
  }

  /** Ends it. */
  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.stdin.end();
    await ended;
  }
}

async function answer(lines: AsyncIterator<string>): Promise<Record<string, string>> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error("ground: no answer")), PATIENCE_MS).unref();
  });
  const next = await Promise.race([lines.next(), late]);
  if (next.done) throw new Error("ground: ended before it answered");
  return JSON.parse(next.value) as Record<string, string>;
}
