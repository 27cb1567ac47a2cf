/** A proxy in front of the server, as companies have one, which may lose the server or answer in its place. */

import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What the proxy does with a call; files pass in any case. */
type Way =
  /** It passes. */
  | "Through"
  /** There is no server behind the proxy. */
  | "BadGateway"
  /** Something else answers, with a page: the sign-in of a hotel's network, a host that was set up wrongly. */
  | "Page";

/** A running proxy. */
export class Proxy {
  readonly address: string;
  readonly #listener: Server;
  readonly #server: string;
  /** Answers that are on their way. */
  readonly #open = new Set<ServerResponse>();
  #way: Way = "Through";

  private constructor(listener: Server, server: string) {
    this.#listener = listener;
    this.#server = server;
    this.address = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
    listener.on("request", (asked: IncomingMessage, answer: ServerResponse) => this.#pass(asked, answer));
  }

  /** Starts one in front of a server. */
  static async start(server: string): Promise<Proxy> {
    const listener = createServer();
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    return new Proxy(listener, server);
  }

  /** From now on calls go another way. Those that are on their way are cut off, streams among them. */
  turn(way: Way): void {
    this.#way = way;
    if (way !== "Through") for (const answer of this.#open) answer.destroy();
  }

  /** Ends it. */
  end(): void {
    this.#listener.closeAllConnections();
    this.#listener.close();
  }

  #pass(asked: IncomingMessage, answer: ServerResponse): void {
    const { method, headers, url = "/" } = asked;
    const isCall = method === "POST" || url === "/config.json";
    if (isCall && this.#way !== "Through") {
      const status = this.#way === "Page" ? 200 : 502;
      answer.writeHead(status, { "content-type": "text/html" }).end("<!doctype html><h1>The proxy's own page</h1>");
      return;
    }
    const passed = request(new URL(url, this.#server), { method, headers }, (told) => {
      answer.writeHead(told.statusCode ?? 502, told.headers);
      answer.flushHeaders();
      told.pipe(answer);
      told.on("error", () => answer.destroy());
    });
    passed.on("error", () => answer.destroy());
    if (isCall) this.#open.add(answer);
    answer.on("close", () => {
      this.#open.delete(answer);
      passed.destroy();
    });
    asked.pipe(passed);
  }
}
