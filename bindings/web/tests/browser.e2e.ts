/**
 * The client in a real browser, in real tabs: its IndexedDB, its locks, its streams. The page and the server have one origin, as
 * behind a proxy.
 */

import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { build } from "esbuild";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Client } from "../src/index.js";
import { Ground } from "./ground.js";

/** What a page of this test has. */
interface Window {
  madang: typeof import("../src/index.js");
  client: Client;
  token(login: string): Promise<string>;
}

const BROWSER = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const PATIENCE_MS = 20_000;

let ground: Ground;
let site: Server;
let browser: Browser;
let address: string;

beforeAll(async () => {
  const program = process.env["GROUND"];
  if (!program) throw new Error("GROUND names no program: cargo build -p madang-tests --bin ground");
  ground = await Ground.start(program);
  site = await serve(ground.server);
  address = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  browser = await chromium.launch({ executablePath: BROWSER, args: ["--no-sandbox"] });
}, 120_000);

afterAll(async () => {
  await browser.close();
  site.closeAllConnections();
  site.close();
  await ground.end();
});

/** A page with the client as a script, and everything else from the server. */
async function serve(server: string): Promise<Server> {
  const stdin = { contents: 'export * from "./src/index.ts";', resolveDir: new URL("..", import.meta.url).pathname };
  const bundle = await build({ stdin, bundle: true, format: "esm", target: "es2022", write: false });
  const script = bundle.outputFiles[0]?.text ?? "";
  const page = '<!doctype html><script type="module">window.madang = await import("/client.js")</script>';
  const listener = createServer((asked, answer) => {
    if (asked.url === "/client.js") answer.setHeader("content-type", "text/javascript").end(script);
    else if (asked.method === "GET") answer.setHeader("content-type", "text/html").end(page);
    else {
      const { method, headers, url = "" } = asked;
      const passed = request(new URL(url, server), { method, headers }, (told) => {
        answer.writeHead(told.statusCode ?? 502, told.headers);
        answer.flushHeaders();
        told.pipe(answer);
        told.on("error", () => answer.destroy());
      });
      passed.on("error", () => answer.writeHead(502).end());
      answer.on("close", () => passed.destroy());
      asked.pipe(passed);
    }
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return listener;
}

/** A browser of a person, with nothing in it. */
async function browserOf(): Promise<BrowserContext> {
  const context = await browser.newContext();
  await context.exposeFunction("token", (login: string) => ground.tokensOf(login)(false));
  return context;
}

/** A tab in which somebody is signed in and live. */
async function tab(context: BrowserContext, person: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(address);
  await enter(page, person);
  return page;
}

async function enter(page: Page, person: string): Promise<void> {
  await page.waitForFunction(() => (globalThis as unknown as Window).madang !== undefined);
  await page.evaluate(async (login) => {
    const here = globalThis as unknown as Window;
    const tokens = () => here.token(login);
    const backoff = { baseMs: 20, capMs: 200 };
    here.client = await here.madang.Client.open({ server: location.origin, tokens, account: login, backoff });
  }, person);
  await until(page, "Live");
}

/** Waits until the client of a tab is in a state. */
async function until(page: Page, kind: string): Promise<void> {
  const wait = ([wanted, ms]: [string, number]) =>
    (globalThis as unknown as Window).client.state
      .until((state) => state.kind === wanted, AbortSignal.timeout(ms))
      .then(() => true);
  expect(await page.evaluate(wait, [kind, PATIENCE_MS] as [string, number])).toBe(true);
}

const stand = (page: Page) =>
  page.evaluate(() => {
    const { client } = globalThis as unknown as Window;
    return { leads: client.leads.now, storage: client.storage.now.kind, device: client.deviceId, me: client.me.now };
  });

const send = (page: Page, roomId: string, text: string) =>
  page.evaluate(([room, words]) => (globalThis as unknown as Window).client.send(room ?? "", words ?? ""), [roomId, text]);

const settle = (page: Page, id: string) =>
  page.evaluate((change) => (globalThis as unknown as Window).client.settled(change), id);

async function room(page: Page, name: string, members: readonly string[]): Promise<string> {
  return page.evaluate(
    async ([title, people]) => {
      const { client } = globalThis as unknown as Window;
      const id = await client.createRoom({ name: title, members: people });
      await client.settled(id);
      return id;
    },
    [name, members] as const,
  );
}

/** Waits until a room's messages are these. */
async function shows(page: Page, roomId: string, wanted: readonly string[]): Promise<void> {
  const said = await page.evaluate(
    async ([id, texts, ms]) => {
      const timeline = await (globalThis as unknown as Window).client.timeline(id);
      const now = () => timeline.items.flatMap((item) => (item.kind === "Message" ? [`${item.state.kind} ${item.text}`] : []));
      const over = AbortSignal.timeout(ms);
      try {
        while (now().join() !== texts.join()) await timeline.next(over);
      } catch {
        // What is shown is told.
      }
      timeline.close();
      return now();
    },
    [roomId, wanted, PATIENCE_MS] as const,
  );
  expect(said).toEqual(wanted);
}

test("two tabs share a store and a stream; when the leader is closed, or dies, another takes over", async () => {
  const [anns, bobs] = [await browserOf(), await browserOf()];
  const [first, bob] = [await tab(anns, "ann"), await tab(bobs, "bob")];
  const [second, third] = [await tab(anns, "ann"), await tab(anns, "ann")];
  const [one, two] = [await stand(first), await stand(second)];
  expect([one.leads, two.leads, one.storage]).toEqual([true, false, "Kept"]);
  expect(one.device).toBe(two.device);
  const roomId = await room(second, "browser", [(await stand(bob)).me ?? ""]);
  await settle(second, await send(second, roomId, "from the second"));
  for (const page of [first, third, bob]) await shows(page, roomId, ["Sent from the second"]);
  await first.close();
  await settle(bob, await send(bob, roomId, "after the first"));
  await shows(second, roomId, ["Sent from the second", "Sent after the first"]);
  const leader = (await stand(second)).leads ? second : third;
  const other = leader === second ? third : second;
  // A tab that dies says no goodbye.
  await leader.goto("chrome://crash").catch(() => undefined);
  await settle(bob, await send(bob, roomId, "after the crash"));
  const all = ["Sent from the second", "Sent after the first", "Sent after the crash"];
  await shows(other, roomId, all);
  expect((await stand(other)).leads).toBe(true);
  await anns.close();
  await bobs.close();
}, 120_000);

test("what was typed offline outlives a reload, and is sent once when the network is back", async () => {
  const [anns, bobs] = [await browserOf(), await browserOf()];
  const [ann, bob] = [await tab(anns, "ann"), await tab(bobs, "bob")];
  const roomId = await room(ann, "offline", [(await stand(bob)).me ?? ""]);
  await settle(ann, await send(ann, roomId, "before"));
  await anns.setOffline(true);
  await until(ann, "Offline");
  await send(ann, roomId, "without a network");
  await shows(ann, roomId, ["Sent before", "Queued without a network"]);
  await anns.setOffline(false);
  await ann.reload();
  await enter(ann, "ann");
  await shows(ann, roomId, ["Sent before", "Sent without a network"]);
  await shows(bob, roomId, ["Sent before", "Sent without a network"]);
  await anns.close();
  await bobs.close();
}, 120_000);

test("a page that is left and come back to goes on", async () => {
  const [anns, bobs] = [await browserOf(), await browserOf()];
  const [ann, bob] = [await tab(anns, "ann"), await tab(bobs, "bob")];
  const roomId = await room(ann, "back", [(await stand(bob)).me ?? ""]);
  // What the browser does when it keeps a page to come back to, and when the person does.
  await ann.evaluate(() => window.dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true })));
  expect((await stand(ann)).leads).toBe(false);
  await settle(bob, await send(bob, roomId, "meanwhile"));
  await ann.evaluate(() => window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
  await until(ann, "Live");
  await shows(ann, roomId, ["Sent meanwhile"]);
  expect((await stand(ann)).leads).toBe(true);
  await anns.close();
  await bobs.close();
}, 120_000);

test("signing out in one tab ends the other and leaves no database", async () => {
  const anns = await browserOf();
  const [first, second] = [await tab(anns, "ann"), await tab(anns, "ann")];
  expect(await second.evaluate(() => (globalThis as unknown as Window).client.signOut())).toBe(true);
  await until(first, "Ended");
  expect(await first.evaluate(() => indexedDB.databases())).toEqual([]);
  expect(await first.evaluate(() => localStorage.length)).toBe(0);
  await anns.close();
}, 120_000);
