/**
 * Access tokens: asked of the host, kept while they are good, renewed before they end.
 *
 * Always true: however many wait, the host is asked once at a time; what it gives is plain ASCII and of the person whose
 * stream is open; a host that hangs or throws fails a call and holds up nothing else.
 */

import type { TokenProvider } from "../config.js";
import { ClientError } from "../error.js";
import { sleep } from "../time.js";

/** How long the host may take to give a token. As long as a call may take; it may have to ask its issuer. */
const PATIENCE_MS = 20_000;
/** A token is renewed so long before it ends, so that none ends on its way; of one that lives shortly, in its last tenth. */
const EARLY_MS = 60_000;
/** Longest token that is taken. A header of the server's holds 16 KiB. */
const LONGEST = 12 << 10;

/** Tokens of one client. */
export class Tokens {
  #token = "";
  /** When it is to be renewed, by our clock; absent: that is not known. */
  #renewAt: number | undefined;
  /** Whom the token of the open stream is for. */
  #subject: string | undefined;
  /** The question that is on its way, and whether it is for a fresh one. */
  #asking: { readonly fresh: boolean; readonly answer: Promise<string> } | undefined;

  constructor(private readonly provider: TokenProvider) {}

  /** A token for a call. Fails with `StoreOfAnother` when it is not for the person whose stream is open. */
  async forCall(): Promise<string> {
    const token = await this.forStream();
    const given = subjectOf(token);
    if (this.#subject !== undefined && given !== undefined && this.#subject !== given) {
      throw new ClientError("Conflict", "the token is another person's", { local: "StoreOfAnother" });
    }
    return token;
  }

  /** A token for a stream; whether it is the right person's, the server's Welcome tells. */
  async forStream(): Promise<string> {
    const token = await this.#ask(false);
    const ending = this.#token === token && this.#renewAt !== undefined && this.#renewAt <= Date.now();
    // One that is good for a moment more is better than none.
    return ending ? this.#ask(true).catch(() => token) : token;
  }

  /** A token in place of one that was refused. Those who ask at once share one renewal. */
  async renew(refused: string): Promise<string> {
    return this.#token === "" || this.#token === refused ? this.#ask(true) : this.#token;
  }

  /** A fresh token, whatever the last one was. */
  renewNow(): Promise<string> {
    return this.#ask(true);
  }

  /** The server has taken this token as that of the store's person. */
  isMine(token: string): void {
    this.#subject = subjectOf(token);
  }

  /** The host has signed in anew: what is known of tokens is worth nothing, nor is an answer that is on its way. */
  forget(): void {
    this.#asking = undefined;
    this.#token = "";
    this.#renewAt = undefined;
    this.#subject = undefined;
  }

  async #ask(fresh: boolean): Promise<string> {
    if (!this.#asking || (fresh && !this.#asking.fresh)) {
      const answer = this.#question(fresh);
      const asking = { fresh, answer };
      this.#asking = asking;
      const over = () => {
        if (this.#asking === asking) this.#asking = undefined;
      };
      answer.then(over, over);
    }
    const token = await this.#asking.answer;
    this.#hold(token, fresh);
    return token;
  }

  async #question(fresh: boolean): Promise<string> {
    const patience = new AbortController();
    const late = sleep(PATIENCE_MS, patience.signal).then(() => {
      throw new ClientError("Offline", "the host gave no token in time", { local: "TokenTimeout" });
    });
    late.catch(() => undefined);
    try {
      return check(await Promise.race([this.provider(fresh), late]));
    } catch (error) {
      if (error instanceof ClientError) throw error;
      throw invalid(`the host threw over a token: ${String(error)}`);
    } finally {
      patience.abort();
    }
  }

  #hold(token: string, fresh: boolean): void {
    if (this.#token !== token) {
      this.#token = token;
      this.#renewAt = renewAt(token, fresh, Date.now());
    } else if (fresh) {
      // The host has no other: it is good until it is refused.
      this.#renewAt = undefined;
    }
  }
}

function check(token: unknown): string {
  if (typeof token !== "string" || token === "") throw invalid("the host gave an empty token");
  if (!/^[\x21-\x7e]+$/.test(token)) throw invalid("the host gave a token that is not plain ASCII");
  if (token.length > LONGEST) throw invalid("the host gave a token of more than 12 KiB");
  return token;
}

function invalid(message: string): ClientError {
  return new ClientError("Unauthenticated", message, { local: "TokenInvalid" });
}

/** What a token says of itself, if it is a JWT. Not proven: the server does that. */
function claimsOf(token: string): Record<string, unknown> | undefined {
  try {
    const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims === "object" && claims !== null ? (claims as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Whom a token is for, if it says so. */
export function subjectOf(token: string): string | undefined {
  const claims = claimsOf(token);
  const [issuer, subject] = [claims?.["iss"], claims?.["sub"]];
  return typeof issuer === "string" && typeof subject === "string" ? `${issuer} ${subject}` : undefined;
}

/**
 * When a token is to be renewed, by our clock. Of a fresh one the age is known whatever our clock says; any other is compared
 * with our clock, and if that is wrong one renewal too many puts it right.
 */
function renewAt(token: string, fresh: boolean, nowMs: number): number | undefined {
  const claims = claimsOf(token);
  const ms = (name: string) => {
    const seconds = claims?.[name];
    return typeof seconds === "number" && seconds >= 0 ? seconds * 1000 : undefined;
  };
  const [ends, begins] = [ms("exp"), ms("iat")];
  if (ends === undefined) return undefined;
  const life = ends - (begins ?? nowMs);
  // Ends before it begins, or is over, and the host calls it fresh: the server will say.
  if (life <= 0) return fresh ? undefined : ends - EARLY_MS;
  const early = Math.min(EARLY_MS, life / 10);
  return fresh ? nowMs + life - early : ends - early;
}
