/** The way to the server: gRPC-web, and what each call carries. */

import type { DescService } from "@bufbuild/protobuf";
import type { Backoff, ClientConfig } from "../config.js";
import { ClientError } from "../error.js";
import type { Hello, ServerFrame } from "../gen/madang/v1/sync_pb.js";
import { SyncService } from "../gen/madang/v1/sync_service_pb.js";
import { delayMs, sleep } from "../time.js";
import { failureOf, mayRepeat } from "./failure.js";
import { type Caller, type CallOptions, callerOf } from "./grpc.js";
import { Tokens } from "./tokens.js";

/** Attempts of a command that somebody waits for. */
const ATTEMPTS = 3;
/** Longest wait between those, whatever the server asks for: beyond that the caller decides. */
const PATIENCE_MS = 3_000;

/** A call of a service. May be made more than once. */
export type Rpc<S extends DescService, R> = (caller: Caller<S>, options: CallOptions) => Promise<R>;

/** The origin of a server's address. Fails if the address is none. */
export function originOf(server: string): string {
  let url: URL;
  try {
    url = new URL(server);
  } catch {
    throw addressInvalid(server);
  }
  const plain = url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "";
  if (!["http:", "https:"].includes(url.protocol) || !plain) throw addressInvalid(server);
  return url.origin;
}

function addressInvalid(server: string): ClientError {
  return new ClientError("Invalid", `${server} is no address of a server`, { local: "AddressInvalid" });
}

/** The way to the server of one client. */
export class Connection {
  /** The epoch that calls name; empty: none is known. */
  epoch = "";
  readonly tokens: Tokens;
  readonly #origin: string;
  readonly #fixed: Record<string, string>;
  readonly #backoff: Backoff;

  constructor(config: ClientConfig, deviceId: string, backoff: Backoff) {
    this.#origin = originOf(config.server);
    this.tokens = new Tokens(config.tokens);
    this.#backoff = backoff;
    this.#fixed = {
      "madang-device-id": deviceId,
      "madang-platform": config.platform ?? "web",
      "madang-app-version": config.appVersion ?? "",
      "accept-language": config.language ?? globalThis.navigator?.language ?? "en",
    };
    for (const [name, value] of Object.entries(this.#fixed)) {
      if (!/^[\x20-\x7e]*$/.test(value)) throw new ClientError("Invalid", `${name} is not plain ASCII`);
    }
  }

  /** Id of this installation. */
  get deviceId(): string {
    return this.#fixed["madang-device-id"] as string;
  }

  /** This page is an installation of its own from now on. */
  set deviceId(deviceId: string) {
    this.#fixed["madang-device-id"] = deviceId;
  }

  /** Opens the stream; the answer is what it says, and the token it was opened with. */
  async watch(hello: Hello, signal: AbortSignal): Promise<{ frames: AsyncIterable<ServerFrame>; token: string }> {
    const token = await this.tokens.forStream();
    const headers = { ...this.#fixed, authorization: `Bearer ${token}` };
    // A stream has no deadline.
    const frames = callerOf(SyncService, this.#origin).watch({ hello }, { headers, signal, timeoutMs: 0 });
    return { frames, token };
  }

  /** Calls once; a token that has expired is renewed and the call repeated. */
  async callOnce<S extends DescService, R>(service: S, rpc: Rpc<S, R>, signal?: AbortSignal): Promise<R> {
    const caller = callerOf(service, this.#origin);
    for (let renewed = false; ; renewed = true) {
      const token = await this.tokens.forCall();
      const epoch: Record<string, string> = this.epoch === "" ? {} : { "madang-epoch": this.epoch };
      const headers = { ...this.#fixed, ...epoch, authorization: `Bearer ${token}` };
      try {
        return await rpc(caller, signal ? { headers, signal } : { headers });
      } catch (error) {
        const failure = failureOf(error);
        if (failure.reason !== "TokenExpired" || renewed) throw failure;
        await this.tokens.renew(token);
      }
    }
  }

  /** Calls, and repeats what may be repeated a few times: somebody waits. Every call of the contract may be repeated. */
  async call<S extends DescService, R>(service: S, rpc: Rpc<S, R>): Promise<R> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.callOnce(service, rpc);
      } catch (error) {
        const failure = failureOf(error);
        const delay = Math.max(failure.retryAfterMs ?? 0, delayMs(this.#backoff, attempt));
        if (attempt === ATTEMPTS || !mayRepeat(failure) || delay > PATIENCE_MS) throw failure;
        await sleep(delay);
      }
    }
  }
}
