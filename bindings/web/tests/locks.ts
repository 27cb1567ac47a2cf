/** Web Locks where there is no browser: one holder a name, in the order of asking. */

type Held = () => unknown;

/** What of `navigator.locks` the client uses. */
export class Locks {
  readonly #tails = new Map<string, Promise<unknown>>();

  request(name: string, { signal }: { signal: AbortSignal }, held: Held): Promise<unknown> {
    const before = this.#tails.get(name) ?? Promise.resolve();
    const turn = before.then(() => {
      signal.throwIfAborted();
      return held();
    });
    this.#tails.set(name, turn.catch(() => undefined));
    return turn;
  }
}
