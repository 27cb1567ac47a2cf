/** What is shown, and what the stream tells of it only while it is shown. Lost with the connection, and told again after it. */

import { Cell } from "../observed.js";

/** Things that are shown, with what is known of each. */
export class Shown<V> {
  /** Told when other things are shown. */
  onShown: () => void = () => undefined;
  readonly #times = new Map<string, number>();
  readonly #known = new Map<string, V>();
  /** Told when something is known otherwise. */
  readonly changed = new Cell(0);

  /** Puts things on the screen; the answer takes them off again. */
  show(keys: readonly string[]): () => void {
    for (const key of keys) this.#times.set(key, (this.#times.get(key) ?? 0) + 1);
    this.onShown();
    let shown = true;
    return () => {
      if (shown) this.#hide(keys);
      shown = false;
    };
  }

  /** What is shown, the first first. */
  keys(): string[] {
    return [...this.#times.keys()];
  }

  hear(key: string, value: V): void {
    if (!this.#times.has(key)) return;
    this.#known.set(key, value);
    this.changed.set(this.changed.now + 1);
  }

  /** The stream has ended: nothing is known any more. */
  forget(): void {
    this.#known.clear();
    this.changed.set(this.changed.now + 1);
  }

  /** What is known of these things. */
  known(keys: readonly string[]): ReadonlyMap<string, V> {
    return new Map(keys.flatMap((key) => (this.#known.has(key) ? [[key, this.#known.get(key) as V] as const] : [])));
  }

  #hide(keys: readonly string[]): void {
    for (const key of keys) {
      const times = (this.#times.get(key) ?? 0) - 1;
      if (times > 0) this.#times.set(key, times);
      else {
        this.#times.delete(key);
        this.#known.delete(key);
      }
    }
    this.onShown();
  }
}
