/** A real server with a database and an issuer of its own, talked to by lines: `bindings/scenario.md`. */

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { TokenProvider } from "../src/index.js";

type Answer = Readonly<Record<string, string>>;

/** A server that is told what to do. */
export class Ground {
  private constructor(
    private readonly child: ChildProcess,
    readonly lines: AsyncIterator<string>,
    readonly server: string,
  ) {}

  /** Starts the program. */
  static async start(program: string): Promise<Ground> {
    const child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.done) throw new Error("the ground ended");
    return new Ground(child, lines, (JSON.parse(first.value) as Answer)["server"] ?? "");
  }

  /** Says a line, and waits for its answer; one after the other. */
  say(line: string): Promise<Answer> {
    const turn = this.#turn.then(async () => {
      this.child.stdin?.write(`${line}\n`);
      const answer = await this.lines.next();
      if (answer.done) throw new Error("the ground ended");
      const said = JSON.parse(answer.value) as Answer;
      if (said["error"] !== undefined) throw new Error(`${line}: ${said["error"]}`);
      return said;
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
  #turn: Promise<unknown> = Promise.resolve();

  /** Tokens of a person. */
  tokensOf(login: string): TokenProvider {
    return async () => (await this.say(`token ${login}`))["token"] ?? "";
  }

  /** Ends the server. */
  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.stdin?.end();
    await ended;
  }
}
