/** The host of a client: has a sign-in at the issuer, and answers the client's questions for a token. */

import { setTimeout as sleep } from "node:timers/promises";
import { ClientError } from "../src/index.js";
import type { Ground } from "./ground.js";

/** Names of sign-ins. */
let next = 0;

/** The host of a client. */
export class Host {
  #answer = "anew";
  #signIn = ++next;
  /** How often a fresh token was wanted. */
  #renewals = 0;

  constructor(
    private readonly ground: Ground,
    readonly login: string,
  ) {}

  /** What it answers from now on: `anew`, `missing` or `sign_in`. */
  answers(how: string): void {
    this.#answer = how;
    if (how === "anew") this.#signIn = ++next;
  }

  /** Waits until a fresh token is wanted. */
  async renewed(over: AbortSignal): Promise<void> {
    const before = this.#renewals;
    while (this.#renewals === before) await sleep(20, undefined, { signal: over });
  }

  readonly tokens = async (fresh: boolean): Promise<string> => {
    if (fresh) this.#renewals++;
    if (this.#answer === "missing") throw new Error("no token for now");
    if (this.#answer === "sign_in") throw new ClientError("Unauthenticated", "sign in");
    const answer = await this.ground.say(`${fresh ? "fresh" : "token"} ${this.login} ${this.#signIn}`);
    return answer["token"] ?? "";
  };
}
