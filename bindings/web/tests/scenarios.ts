/**
 * The scenarios of `bindings/scenario.json`, played by what a page uses: GROUND scenario.json TRANSCRIPT. Stores lie in memory,
 * one for each name: a scenario that opens one again finds what the last client left.
 */

import { readFileSync, writeFileSync } from "node:fs";
import {
  applyChange,
  Client,
  ClientError,
  type LiveList,
  MemoryStore,
  type MessageItem,
  type RoomItem,
  type TimelineItem,
} from "../src/index.js";
import { Ground } from "./ground.js";

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
  readonly #stores = new Map<string, MemoryStore>();
  readonly #rooms = new Map<string, string>();
  readonly #messages = new Map<string, string>();

  constructor(private readonly ground: Ground) {}

  async end(): Promise<void> {
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
    const seen = `${failure.kind} reason ${failure.reason ?? "-"} local ${failure.local ?? "-"}`;
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
      case "disconnect":
        this.#client(step).disconnect();
        return "";
      case "reconnect":
        this.#client(step).reconnect();
        return "";
      case "ground":
        await this.ground.say(text(step, "say"));
        return text(step, "say");
      case "state":
        await this.#client(step).state.until((state) => state.kind === text(step, "is"), over);
        return text(step, "is");
      case "create_room":
        return this.#createRoom(step, over);
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
      case "remove": {
        const person = this.#clients.get(text(step, "member"))?.me.now ?? "";
        const id = await this.#client(step).remove(this.#room(step), person);
        await this.#client(step).settled(id, over);
        return "";
      }
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
    const client = await Client.open({
      server: step["server"] === undefined ? this.ground.server : text(step, "server"),
      tokens: this.ground.tokensOf(person),
      store,
      backoff: { baseMs: 20, capMs: 200 },
    });
    this.#clients.set(name, client);
    if (step["offline"] !== true) await client.state.until((state) => state.kind === "Live", over);
    return person;
  }

  async #createRoom(step: Step, over: AbortSignal): Promise<string> {
    const members = (step["members"] as string[]).map((member) => this.#clients.get(member)?.me.now ?? "");
    const id = await this.#client(step).createRoom({ name: text(step, "name"), members });
    await this.#client(step).settled(id, over);
    this.#rooms.set(text(step, "room"), id);
    return text(step, "name");
  }

  async #shownRoom(step: Step, over: AbortSignal): Promise<string> {
    const is = step["is"] as { name: string; kind: string; members: number; unread: number };
    const wanted = `${is.name} ${is.kind} members ${is.members} unread ${is.unread}`;
    await this.#roomList(step, (room) => room === wanted, over);
    return wanted;
  }

  /** Follows the room list by its changes until the room is as it is wanted. */
  async #roomList(step: Step, wanted: (room: string | undefined) => boolean, over: AbortSignal): Promise<void> {
    const list = await this.#client(step).rooms();
    await followed(list, over, (rooms: readonly RoomItem[]) => {
      const room = rooms.find((one) => one.id === this.#room(step));
      const words = room && `${room.name} ${room.kind} members ${room.memberCount} unread ${room.unread}`;
      return wanted(words) ? true : undefined;
    });
  }

  async #write(step: Step): Promise<string> {
    const [client, roomId] = [this.#client(step), this.#room(step)];
    if (step.do === "edit") await client.edit(roomId, this.#message(step), text(step, "text"));
    else if (step.do === "delete") await client.delete(roomId, this.#message(step));
    else {
      const id = await client.send(roomId, text(step, "text"));
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
    await client.settled(last, over);
    return String(step["count"]);
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
    const messages = messagesOf(list.items);
    list.close();
    return `${messages.length} from ${messages[0]?.text} to ${messages.at(-1)?.text}`;
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

function line({ sender, state, edited, deleted, text: said }: MessageItem): string {
  return `${sender.name} ${state.kind}${edited ? " edited" : ""}${deleted ? " deleted" : ""}: ${said}`;
}

const [program = "", path = "", transcript = ""] = process.argv.slice(2);
const { scenarios } = JSON.parse(readFileSync(path, "utf8")) as { scenarios: { name: string; steps: Step[] }[] };
const ground = await Ground.start(program);
let lines = "";
for (const { name, steps } of scenarios) {
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
