/** Messages as they lie in a body of gRPC-web: a byte of flags, four of length, then so many of a message or of trailers. */

import { ClientError } from "../error.js";

/** The flag of an envelope that has trailers in place of a message. */
export const TRAILERS = 0x80;
const HEAD = 5;
/** Longest message that is taken: 4 MiB, as in the client core. The server's pages end at half a MiB. */
const LONGEST = 4 << 20;

/** An envelope of a body. */
export interface Envelope {
  readonly flags: number;
  readonly data: Uint8Array;
}

/** A message in its envelope. */
export function seal(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const sealed = new Uint8Array(HEAD + message.length);
  new DataView(sealed.buffer).setUint32(1, message.length);
  sealed.set(message, HEAD);
  return sealed;
}

/** The envelopes of a body, each when it is whole. */
export async function* envelopesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Envelope> {
  const reader = body.getReader();
  let [parts, size, wanted]: [Uint8Array[], number, number] = [[], 0, HEAD];
  for (;;) {
    while (size < wanted) {
      const { done, value } = await reader.read();
      if (done && size === 0) return;
      if (done) throw broken("the answer was cut off in a message");
      parts.push(value);
      size += value.length;
    }
    const held = joined(parts, size);
    const length = new DataView(held.buffer, held.byteOffset).getUint32(1);
    if (length > LONGEST) throw broken(`a message of ${length} bytes; at most ${LONGEST} are taken`);
    wanted = HEAD + length;
    if (size < wanted) continue;
    yield { flags: held[0] ?? 0, data: held.subarray(HEAD, wanted) };
    [parts, size, wanted] = [[held.subarray(wanted)], size - wanted, HEAD];
  }
}

/** What a server that speaks gRPC-web does not say: the connection broke, or something on the way spoiled the answer. */
export function broken(message: string): ClientError {
  return new ClientError("Offline", message);
}

/** As one piece; what is one already is not copied. */
function joined(parts: readonly Uint8Array[], size: number): Uint8Array {
  const [first] = parts;
  if (first && parts.length === 1) return first;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
