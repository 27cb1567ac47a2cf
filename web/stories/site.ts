/**
 * The built page as a server serves it: the files with the headers that the page must live with, everything else to the server.
 * Reports of the page's policy are gathered: none is good.
 */

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".webmanifest": "application/manifest+json",
};

/** A running site. */
export class Site {
  /** Where it is. */
  readonly address: string;
  /** What browsers reported against the policy. */
  readonly reports: string[] = [];
  readonly #server: Server;

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = address;
  }

  /** Serves a folder in front of a server. */
  static async start(folder: string, server: string, issuer: string, port = 0): Promise<Site> {
    const listener = createServer();
    await new Promise<void>((resolve) => listener.listen(port, "127.0.0.1", resolve));
    const at = listener.address();
    if (at === null || typeof at === "string") throw new Error("the site has no port");
    const site = new Site(listener, `http://127.0.0.1:${at.port}`);
    const headers = securityHeaders(new URL(issuer).origin);
    listener.on("request", (asked: IncomingMessage, answer: ServerResponse) => {
      const path = new URL(asked.url ?? "/", site.address).pathname;
      if (path === "/csp-report") return gather(asked, answer, site.reports);
      if (asked.method === "POST" || asked.method === "OPTIONS") return forward(asked, answer, server);
      if (path === "/config.json") {
        answer.writeHead(200, { "content-type": "application/json", "cache-control": "no-cache", ...headers });
        return answer.end(JSON.stringify({ issuer, client_id: "madang-app" }));
      }
      void serve(join(folder, normalize(path)), folder, path, answer, headers);
      return undefined;
    });
    return site;
  }

  /** Ends it. */
  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function securityHeaders(issuer: string): Record<string, string> {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "font-src 'self'",
    `connect-src 'self' ${issuer}`,
    "manifest-src 'self'",
    `form-action 'self' ${issuer}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types madang",
    "report-uri /csp-report",
  ];
  return {
    "content-security-policy": policy.join("; "),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
  };
}

async function serve(file: string, folder: string, path: string, answer: ServerResponse, headers: Record<string, string>): Promise<void> {
  const found = await stat(file).then((entry) => entry.isFile(), () => false);
  const shown = found ? file : join(folder, "index.html");
  const cache = found && path.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache";
  answer.writeHead(200, { "content-type": TYPES[extname(shown)] ?? "application/octet-stream", "cache-control": cache, ...headers });
  createReadStream(shown).pipe(answer);
}

function forward(asked: IncomingMessage, answer: ServerResponse, server: string): void {
  const onward = request(new URL(asked.url ?? "/", server), { method: asked.method, headers: asked.headers }, (came) => {
    answer.writeHead(came.statusCode ?? 502, came.headers);
    came.pipe(answer);
  });
  // Both ways: a browser that goes ends the stream, and a server that goes ends the browser's.
  onward.on("error", () => (answer.headersSent ? answer.destroy() : answer.writeHead(502, { "content-type": "text/html" }).end("<h1>502</h1>")));
  answer.on("close", () => onward.destroy());
  asked.pipe(onward);
}

function gather(asked: IncomingMessage, answer: ServerResponse, reports: string[]): void {
  let body = "";
  asked.on("data", (part: Buffer) => (body += part.toString()));
  asked.on("end", () => {
    reports.push(body);
    answer.writeHead(204).end();
  });
}
