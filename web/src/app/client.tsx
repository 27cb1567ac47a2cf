/** The client in React: who has it, and how a component follows what changes. */

import type { Client, LiveList, Observed, User, Watched } from "@madang/client";
import { createContext, useCallback, useContext, useEffect, useState, useSyncExternalStore } from "react";
import type { Session } from "../features/signin/session.js";

/** What all features stand on. */
export interface Host {
  readonly client: Client;
  readonly session: Session;
}

export const HostContext = createContext<Host | undefined>(undefined);

/** The client and the session of the page. */
export function useHost(): Host {
  const host = useContext(HostContext);
  if (!host) throw new Error("there is no client above this component");
  return host;
}

/** The client of the page. */
export function useClient(): Client {
  return useHost().client;
}

/** A value of the client as it is; nothing while there is none to observe yet. */
export function useObserved<T>(observed: Observed<T>): T;
export function useObserved<T>(observed: Observed<T> | undefined): T | undefined;
export function useObserved<T>(observed: Observed<T> | undefined): T | undefined {
  const subscribe = useCallback((told: () => void) => observed?.subscribe(told) ?? (() => undefined), [observed]);
  return useSyncExternalStore(subscribe, () => observed?.now);
}

/** A value that is watched while the component stands; another one when `key` changes. */
export function useWatched<T>(key: string, open: () => Watched<T>): T | undefined {
  const [shown, setShown] = useState<{ key: string; value: T }>();
  useEffect(() => {
    const watched = open();
    setShown({ key, value: watched.now });
    const end = watched.subscribe((value) => setShown({ key, value }));
    return () => {
      end();
      watched.close();
    };
    // The key says what is opened.
  }, [key]);
  return shown?.key === key ? shown.value : undefined;
}

/** What was opened, or why not, or neither yet. */
export interface Opened<L> {
  readonly list?: L;
  readonly error?: unknown;
}

/** A list that is open while the component stands; another one when `key` changes. `again` opens it anew. */
export function useOpened<L extends { close(): void }>(key: string, open: () => Promise<L>): Opened<L> & { again(): void } {
  const [opened, setOpened] = useState<Opened<L> & { key?: string }>({});
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let list: L | undefined;
    let ended = false;
    open().then(
      (answer) => {
        if (ended) return answer.close();
        list = answer;
        setOpened({ key, list: answer });
      },
      (error: unknown) => {
        if (!ended) setOpened({ key, error });
      },
    );
    return () => {
      ended = true;
      list?.close();
      setOpened({});
    };
    // The key says what is opened.
  }, [key, turn]);
  const again = useCallback(() => setTurn((n) => n + 1), []);
  return opened.key === key ? { ...opened, again } : { again };
}

const NOTHING: readonly never[] = [];

/** The items of a list as they are. */
export function useItems<T>(list: LiveList<T> | undefined): readonly T[] {
  const subscribe = useCallback((told: () => void) => list?.onDiff(told) ?? (() => undefined), [list]);
  return useSyncExternalStore(subscribe, () => list?.items ?? NOTHING);
}

/** Profiles by id, as they become known. */
export function usePeople(ids: readonly string[]): ReadonlyMap<string, User> {
  const client = useClient();
  const [people, setPeople] = useState<ReadonlyMap<string, User>>(new Map());
  const key = ids.join(" ");
  useEffect(() => {
    let ended = false;
    const wanted = key ? key.split(" ") : [];
    void Promise.all(wanted.map((id) => client.user(id).catch(() => undefined))).then((found) => {
      if (!ended) setPeople(new Map(found.flatMap((user) => (user ? [[user.id, user] as const] : []))));
    });
    return () => {
      ended = true;
    };
  }, [client, key]);
  return people;
}

/** The name of a person as others see it. */
export function nameOf(user: User | undefined): string {
  return user ? user.displayName || user.login : "";
}

/** A thing done on a click: whether it runs, and why it failed. */
export function useTask(): { busy: boolean; error: unknown; run(task: () => Promise<unknown>): Promise<boolean>; clear(): void } {
  const [state, setState] = useState<{ busy: boolean; error: unknown }>({ busy: false, error: undefined });
  const run = useCallback(async (task: () => Promise<unknown>) => {
    setState({ busy: true, error: undefined });
    try {
      await task();
      setState({ busy: false, error: undefined });
      return true;
    } catch (error) {
      setState({ busy: false, error });
      return false;
    }
  }, []);
  const clear = useCallback(() => setState({ busy: false, error: undefined }), []);
  return { ...state, run, clear };
}
