/**
 * gRPC-web over `fetch`: calls with one answer, and streams of them.
 *
 * Always true: an answer is given whole or not at all; a call ends well only when the server has said so; whatever it ends with is
 * a `ClientError`; when it has ended, or nobody reads on, its connection is free.
 */

import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { ClientError } from "../error.js";
import { broken, envelopesOf, seal, TRAILERS } from "./envelope.js";
import { statusFailure } from "./failure.js";

/** Deadline of a call; the server caps its own work below that. */
export const DEADLINE_MS = 20_000;
/** What an answer without a readable code ends with: gRPC's UNKNOWN. */
const UNKNOWN = 2;

/** How a call is made. */
export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Gives the call up. */
  readonly signal?: AbortSignal;
  /** 0: no deadline; absent: the usual one. */
  readonly timeoutMs?: number;
}

type Call<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: CallOptions) => AsyncIterable<MessageShape<O>>
      : never;

/** The calls of a service. */
export type Caller<S extends DescService> = { readonly [Name in keyof S["method"]]: Call<S["method"][Name]> };

/** The calls of a service at an origin. */
export function callerOf<S extends DescService>(service: S, origin: string): Caller<S> {
  const callOf = (method: DescMethod) => (request: MessageInitShape<DescMessage>, options: CallOptions = {}) => {
    const answers = exchange(method, origin, request, options);
    return method.methodKind === "unary" ? only(answers) : answers;
  };
  return Object.fromEntries(service.methods.map((method) => [method.localName, callOf(method)])) as Caller<S>;
}

async function only<T>(answers: AsyncIterable<T>): Promise<T> {
  const all: T[] = [];
  for await (const answer of answers) {
    if (all.push(answer) > 1) throw broken("two answers to a call that has one");
  }
  const [answer] = all;
  if (answer === undefined) throw broken("an end without an answer");
  return answer;
}

async function* exchange(
  { parent, name, input, output }: DescMethod,
  origin: string,
  request: MessageInitShape<DescMessage>,
  { headers, signal, timeoutMs = DEADLINE_MS }: CallOptions,
): AsyncGenerator<MessageShape<DescMessage>> {
  const body = seal(toBinary(input, create(input, request)));
  const over = new AbortController();
  const giveUp = () => over.abort(broken("the call was given up"));
  if (signal?.aborted) giveUp();
  signal?.addEventListener("abort", giveUp);
  const deadline = { "grpc-timeout": `${timeoutMs}m` };
  const late = () => over.abort(broken(`no answer in ${timeoutMs} ms`));
  const timer = timeoutMs > 0 ? setTimeout(late, timeoutMs) : undefined;
  const init = {
    method: "POST",
    // An answer from elsewhere is none.
    redirect: "error",
    headers: { ...headers, ...(timer && deadline), "content-type": "application/grpc-web+proto", "x-grpc-web": "1" },
    body,
    signal: over.signal,
  } as const;
  try {
    const response = await ask(`${origin}/${parent.typeName}/${name}`, init);
    for await (const message of messagesOf(response)) yield fromBinary(output, message);
  } catch (error) {
    if (over.signal.aborted) throw over.signal.reason;
    throw error instanceof ClientError ? error : broken(String(error));
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
    // Whatever still comes is for nobody.
    over.abort();
  }
}

/** Fetches, and says what is wrong with an answer that cannot be the server's. */
async function ask(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init).catch((error: unknown) => {
    throw new ClientError("Offline", `no way to the server: ${String(error)}`, { local: "Unreachable" });
  });
  const type = response.headers.get("content-type") ?? "";
  if (response.ok && type.startsWith("application/grpc-web")) return response;
  // A gateway that finds nothing behind it.
  const local = [429, 502, 503, 504].includes(response.status) ? "Unreachable" : "NotMadang";
  throw new ClientError("Offline", `HTTP ${response.status} (${type}) where gRPC was expected`, { local });
}

/** The messages of an answer. The status stands in its last envelope, or, where there is nothing else to say, in its headers. */
async function* messagesOf({ headers, body }: Response): AsyncGenerator<Uint8Array> {
  let ended = endsWell(headers, headers);
  for await (const { flags, data } of body ? envelopesOf(body) : []) {
    if (ended) throw broken("more after the end");
    if (flags === TRAILERS) ended = endsWell(trailersOf(data), headers);
    else if (flags === 0) yield data;
    else throw broken(`an envelope with flags ${flags}`);
  }
  if (!ended) throw broken("the answer was cut off before its status");
}

/** Whether a status is there. Fails with it unless it is a good one. */
function endsWell(told: Headers, headers: Headers): boolean {
  const said = told.get("grpc-status");
  if (said === null || said === "0") return said !== null;
  throw statusFailure({
    code: /^\d+$/.test(said) ? Number(said) : UNKNOWN,
    message: unescaped(told.get("grpc-message") ?? ""),
    details: decoded(told.get("grpc-status-details-bin") ?? ""),
    requestId: told.get("madang-request-id") ?? headers.get("madang-request-id") ?? undefined,
  });
}

/** Lines of a name, a colon and a value. */
function trailersOf(data: Uint8Array): Headers {
  const lines = new TextDecoder().decode(data).split("\r\n");
  return new Headers(lines.filter(Boolean).map((line) => line.split(/:(.*)/, 2) as [string, string]));
}

/** A text whose bytes beyond plain ASCII are written in per cent; what is written otherwise is left as it is. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Bytes in base64; none when it is no such thing. */
function decoded(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}
