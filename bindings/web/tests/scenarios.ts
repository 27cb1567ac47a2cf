/**
 * The scenarios of `bindings/scenario.json`, played by what a page uses: GROUND scenario.json TRANSCRIPT. Stores lie in memory,
 * one for each name: a scenario that opens one again finds what the last client left.
 */

import { readFileSync, writeFileSync } from "node:fs";
import {
  applyChange,
  Client,
  ClientError,
  type ConnectionState,
  type Draft,
  type LiveList,
  MemoryStore,
  type MessageItem,
  type RoomItem,
  type Timeline,
  type TimelineItem,
} from "../src/index.js";
import { Ground } from "./ground.js";
import { Host } from "./host.js";

/** Longest wait for what a step wants to see. */
const PATIENCE_MS = 60_000;

/** A step: what it does, and with what. */
interface Step {
  readonly do: string;
  readonly [name: string]: unknown;
}

/** A scenario that is played. */
class Scene {
  readonly #clients = new Map<string, Client>();
  readonly #hosts = new Map<string, Host>();
  readonly #lists = new Map<string, Timeline>();
  readonly #stores = new Map<string, MemoryStore>();
  readonly #rooms = new Map<string, string>();
  readonly #messages = new Map<string, string>();

  constructor(private readonly ground: Ground) {}

  async end(): Promise<void> {
    for (const list of this.#lists.values()) list.close();
    for (const client of this.#clients.values()) await client.shutdown();
  }

  async play(step: Step): Promise<string> {
    const over = AbortSignal.timeout(PATIENCE_MS);
    if (step["fails"] === undefined) {
      const seen = await this.#act(step, over);
      return seen === "" ? step.do : `${step.do}: ${seen}`;
    }
    const failure = await this.#act(step, over).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (!(failure instanceof ClientError)) throw new Error("did not fail as it should", { cause: failure });
    const seen = words(failure);
    if (seen !== step["fails"]) throw new Error(`failed with ${seen}`, { cause: failure });
    return `${step.do}: ${seen}`;
  }

  async #act(step: Step, over: AbortSignal): Promise<string> {
    switch (step.do) {
      case "open":
        return this.#open(step, over);
      case "close":
      case "drop":
        // A page that is let go of ends as one that is closed does: it runs no more.
        await this.#client(step).shutdown();
        this.#clients.delete(text(step, "client"));
        return "";
      case "end":
        await this.#client(step).shutdown();
        return "";
      case "sign_out":
        return (await this.#client(step).signOut()) ? "told" : "not told";
      case "disconnect":
        this.#client(step).disconnect();
        return "";
      case "reconnect":
        this.#client(step).reconnect();
        return "";
      case "ground":
        await this.ground.say(text(step, "say"));
        return text(step, "say");
      case "revoke":
        await this.ground.say(`revoke ${this.#host(step).login} ${this.#client(step).deviceId}`);
        return "";
      case "tokens":
        this.#host(step).answers(text(step, "are"));
        return text(step, "are");
      case "renewed":
        await this.#host(step).renewed(over);
        return "";
      case "state":
        await this.#client(step).state.until((state) => stateLine(state) === text(step, "is"), over);
        return text(step, "is");
      case "create_room":
        return this.#createRoom(step, over);
      case "open_direct":
        return this.#openDirect(step);
      case "room":
        return this.#shownRoom(step, over);
      case "no_room":
        await this.#roomList(step, (room) => room === undefined, over);
        return "";
      case "send":
      case "edit":
      case "delete":
        return this.#write(step);
      case "send_many":
        return this.#sendMany(step, over);
      case "shows":
        return this.#shows(step, over);
      case "mark_read":
      case "mark_unread":
        return this.#mark(step, over);
      case "remove":
      case "invite":
      case "join":
      case "leave":
        return this.#membership(step, over);
      case "settled":
        await this.#client(step).settled(this.#message(step), over);
        return "";
      case "watch":
        this.#lists.set(text(step, "client"), await this.#client(step).timeline(this.#room(step)));
        return "";
      case "told":
        return this.#told(step, over);
      case "jump":
        return this.#jump(step, over);
      case "give_up":
        return this.#giveUp(step);
      case "page":
        return this.#page(step);
      default:
        throw new Error("no such step");
    }
  }

  async #open(step: Step, over: AbortSignal): Promise<string> {
    const [name, person] = [text(step, "client"), text(step, "person")];
    const place = step["store"] === undefined ? name : text(step, "store");
    const store = this.#stores.get(place) ?? new MemoryStore();
    this.#stores.set(place, store);
    const host = new Host(this.ground, person);
    this.#hosts.set(name, host);
    const client = await Client.open({
      server: step["server"] === undefined ? this.ground.server : text(step, "server"),
      tokens: host.tokens,
      store,
      backoff: { baseMs: 20, capMs: 200 },
    });
    this.#clients.set(name, client);
    if (step["offline"] !== true) await client.state.until((state) => state.kind === "Live", over);
    return person;
  }

  async #createRoom(step: Step, over: AbortSignal): Promise<string> {
    const id = await this.#client(step).createRoom({ name: text(step, "name"), members: this.#people(step, "members") });
    await this.#client(step).settled(id, over);
    this.#rooms.set(text(step, "room"), id);
    return text(step, "name");
  }

  /** Whoever opens it first makes it; all find the same. */
  async #openDirect(step: Step): Promise<string> {
    const id = await this.#client(step).openDirect(this.#people(step, "members")[0] ?? "");
    const name = text(step, "room");
    if ((this.#rooms.get(name) ?? id) !== id) throw new Error("another room");
    this.#rooms.set(name, id);
    return "";
  }

  async #membership(step: Step, over: AbortSignal): Promise<string> {
    const [client, roomId, people] = [this.#client(step), this.#room(step), this.#people(step, "members")];
    const change = {
      invite: () => client.invite(roomId, people),
      remove: () => client.remove(roomId, people[0] ?? ""),
      join: () => client.join(roomId),
      leave: () => client.leave(roomId),
    }[step.do];
    await client.settled((await change?.()) ?? "", over);
    return "";
  }

  async #shownRoom(step: Step, over: AbortSignal): Promise<string> {
    const is = step["is"] as { name: string; kind: string; members: number; unread: number; mentions?: number };
    const wanted = `${is.name} ${is.kind} members ${is.members} unread ${is.unread} mentions ${is.mentions ?? 0}`;
    await this.#roomList(step, (room) => room === wanted, over);
    return wanted;
  }

  /** Follows the room list by its changes until the room is as it is wanted. */
  async #roomList(step: Step, wanted: (room: string | undefined) => boolean, over: AbortSignal): Promise<void> {
    const list = await this.#client(step).rooms();
    await followed(list, over, (rooms: readonly RoomItem[]) => {
      const room = rooms.find((one) => one.id === this.#room(step));
      return wanted(room && roomLine(room)) ? true : undefined;
    });
  }

  async #write(step: Step): Promise<string> {
    const [client, roomId] = [this.#client(step), this.#room(step)];
    if (step.do === "edit") await client.edit(roomId, this.#message(step), this.#draft(step));
    else if (step.do === "delete") await client.delete(roomId, this.#message(step));
    else {
      const id = await client.send(roomId, this.#draft(step));
      if (step["message"] !== undefined) this.#messages.set(text(step, "message"), id);
    }
    return "";
  }

  async #sendMany(step: Step, over: AbortSignal): Promise<string> {
    const client = this.#client(step);
    let last = "";
    for (let number = 1; number <= Number(step["count"]); number++) {
      last = await client.send(this.#room(step), `number ${number}`);
    }
    if (step["message"] === undefined) await client.settled(last, over);
    else this.#messages.set(text(step, "message"), last);
    return String(step["count"]);
  }

  #draft(step: Step): Draft {
    return {
      text: text(step, "text").repeat(Number(step["times"] ?? 1)),
      mentions: this.#people(step, "mentions"),
      mentionAll: step["mention_all"] === true,
    };
  }

  async #shows(step: Step, over: AbortSignal): Promise<string> {
    const wanted = step["items"] as string[];
    const shown = await this.#timeline(step, over, (messages) => {
      return messages.length === wanted.length && messages.every((message, at) => line(message) === wanted[at]);
    });
    const escaped = (message: MessageItem) =>
      line(message).replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\t", "\\t");
    return shown.map(escaped).join(" | ");
  }

  async #mark(step: Step, over: AbortSignal): Promise<string> {
    const said = (message: MessageItem) => message.text === text(step, "text") && message.seq !== undefined;
    const shown = await this.#timeline(step, over, (messages) => messages.some(said));
    const seq = shown.find(said)?.seq ?? 0;
    if (step.do === "mark_read") await this.#client(step).markRead(this.#room(step), seq);
    else await this.#client(step).markUnread(this.#room(step), seq);
    return "";
  }

  /** Follows the timeline by its changes until its messages are as they are wanted. */
  async #timeline(
    step: Step,
    over: AbortSignal,
    wanted: (messages: MessageItem[]) => boolean,
  ): Promise<MessageItem[]> {
    const list = await this.#client(step).timeline(this.#room(step));
    return followed(list, over, (items: readonly TimelineItem[]) => {
      const messages = messagesOf(items);
      return wanted(messages) ? messages : undefined;
    });
  }

  async #giveUp(step: Step): Promise<string> {
    const soon = AbortSignal.timeout(200);
    const answered = await this.#client(step)
      .settled(this.#message(step), soon)
      .then(
        () => true,
        () => false,
      );
    if (answered || !soon.aborted) throw new Error("the answer came");
    return "cancelled";
  }

  async #page(step: Step): Promise<string> {
    const list = await this.#client(step).timeline(this.#room(step), { anchor: "Newest" });
    for (let page = 0; page < Number(step["pages"]); page++) {
      await list.loadOlder(Number(step["older"]));
      // Changes are told by the next wait.
      await list.next(AbortSignal.timeout(1000)).catch(() => undefined);
    }
    list.close();
    return span(list.items);
  }

  /** What a list that nobody has asked for a while tells at once. */
  async #told(step: Step, over: AbortSignal): Promise<string> {
    const list = this.#lists.get(text(step, "client"));
    const batch = (await list?.next(over)) ?? [];
    if (!list || batch.length !== 1 || batch[0]?.kind !== "Reset") throw new Error(`told ${batch.length} changes`);
    return `Reset ${span(list.items)}`;
  }

  async #jump(step: Step, over: AbortSignal): Promise<string> {
    const { to } = step;
    const list = await this.#client(step).timeline(this.#room(step));
    await list.jump(typeof to === "number" ? { date: new Date(to * 1000) } : "FirstUnread");
    await list.next(over);
    const line = typeof to === "number" ? 0 : list.items.findIndex((item) => item.kind === "NewLine");
    const first = messagesOf(list.items.slice(line))[0]?.text ?? "";
    list.close();
    if (first !== text(step, "is")) throw new Error(`shows ${first}`);
    return first;
  }

  /** The people of these clients, by id. */
  #people(step: Step, key: string): string[] {
    const clients = (step[key] ?? []) as string[];
    return clients.map((name) => this.#clients.get(name)?.me.now ?? "");
  }

  #host(step: Step): Host {
    const host = this.#hosts.get(text(step, "client"));
    if (!host) throw new Error("no such client");
    return host;
  }

  #client(step: Step): Client {
    const client = this.#clients.get(text(step, "client"));
    if (!client) throw new Error("no such client");
    return client;
  }

  #room(step: Step): string {
    return this.#rooms.get(text(step, "room")) ?? "";
  }

  #message(step: Step): string {
    const name = text(step, "message");
    return this.#messages.get(name) ?? name;
  }
}

/** Follows a list by its changes until it is as it is wanted. */
async function followed<T, R>(
  list: LiveList<T>,
  over: AbortSignal,
  wanted: (items: readonly T[]) => R | undefined,
): Promise<R> {
  const shown = [...list.items];
  try {
    for (;;) {
      const found = wanted(shown);
      if (found !== undefined) return found;
      const batch = await list.next(over).catch((error: unknown) => {
        throw new Error(`shows ${JSON.stringify(shown)}`, { cause: error });
      });
      if (!batch) throw new Error("the client ended");
      for (const change of batch) applyChange(shown, change);
    }
  } finally {
    list.close();
  }
}

function text(step: Step, name: string): string {
  const value = step[name];
  if (typeof value !== "string") throw new Error(`${name} of ${step.do}`);
  return value;
}

function messagesOf(items: readonly TimelineItem[]): MessageItem[] {
  return items.filter((item) => item.kind === "Message");
}

/** How many there are, the first and the last. */
function span(items: readonly TimelineItem[]): string {
  const messages = messagesOf(items);
  return `${messages.length} from ${messages[0]?.text} to ${messages.at(-1)?.text}`;
}

/** A failure as all languages say it. */
function words({ kind, reason, local, violations }: ClientError): string {
  const limits = violations.map(({ field, limit }) => `, ${field}: ${limit}`);
  return `${kind} reason ${reason ?? "-"} local ${local ?? "-"}${limits.join("")}`;
}

function stateLine(state: ConnectionState): string {
  return state.kind === "Ended" ? `Ended ${words(state.reason)}` : state.kind;
}

function roomLine({ name, kind, memberCount, unread, mentions }: RoomItem): string {
  return `${name} ${kind} members ${memberCount} unread ${unread} mentions ${mentions}`;
}

function line({ sender, state, edited, deleted, text: said }: MessageItem): string {
  return `${sender.name} ${state.kind}${edited ? " edited" : ""}${deleted ? " deleted" : ""}: ${said}`;
}

const [program = "", path = "", transcript = ""] = process.argv.slice(2);
const { scenarios } = JSON.parse(readFileSync(path, "utf8")) as {
  scenarios: { name: string; only?: "native"; steps: Step[] }[];
};
const ground = await Ground.start(program);
let lines = "";
for (const { name, only, steps } of scenarios) {
  if (only === "native") continue;
  lines += `# ${name}\n`;
  const scene = new Scene(ground);
  for (const [at, step] of steps.entries()) {
    try {
      lines += `${at + 1} ${await scene.play(step)}\n`;
    } catch (error) {
      throw new Error(`step ${at + 1} (${step.do}) of\n${lines}`, { cause: error });
    }
  }
  await scene.end();
}
await ground.end();
writeFileSync(transcript, lines);
