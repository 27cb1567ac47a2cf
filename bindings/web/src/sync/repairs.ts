/**
 * Which holes are being closed. One question a room at a time; what arrives for a room meanwhile waits for the answer, which
 * may hold it already or let it join.
 */

import type { RoomEvent } from "../gen/madang/v1/sync_pb.js";

/**
 * Events of a room that wait for an answer; beyond that the room is asked for again instead. A burst of a busy room during one
 * round trip.
 */
const HELD_EVENTS = 256;

/** A question for a room that is on its way. */
export interface Flight {
  /** Events that wait for the answer. */
  readonly held: RoomEvent[];
  /** The answer will not be enough: more events came than are held, or it was asked for too early. */
  short: boolean;
  /** Somebody asked meanwhile. */
  again: boolean;
}

/** Something was heard of the room since the question. */
export function heardOf(flight: Flight | undefined): boolean {
  return flight !== undefined && (flight.held.length > 0 || flight.short || flight.again);
}

/** Which repairs are on their way. Forgotten with the page: a stream that begins tells what matters again. */
export class Repairs {
  /** Rooms with a question on its way. */
  readonly rooms = new Map<string, Flight>();
  /** Rooms whose question got no answer before the stream ended. */
  readonly unanswered = new Set<string>();
  /** Everything up to here has been told by this stream, or is to be told by an answer. */
  watermark = 0n;
  /** Something that this stream has told is not held, and no answer will bring it: the next stream is to tell it again. */
  lost = false;
  /** A question for the person's changes is on its way. */
  user = false;
  /** Whose profiles an earlier page was to fetch is known: it takes reading them all. */
  knowsOutdated = false;
  /** A higher number was heard of since that question. */
  userAgain = false;
  /** The person's number as far as heard of. */
  userRev = 0n;

  /** Keeps an event while its room is being repaired; `false`: it is not. */
  hold(event: RoomEvent): boolean {
    const flight = this.rooms.get(event.roomId);
    if (!flight) return false;
    if (flight.held.length < HELD_EVENTS) flight.held.push(event);
    else flight.short = true;
    return true;
  }

  /** A stream begins: questions of the one before get no answer any more. */
  begin(): void {
    for (const roomId of this.rooms.keys()) this.unanswered.add(roomId);
    this.rooms.clear();
    this.watermark = 0n;
    this.lost = false;
    this.user = false;
    this.userAgain = false;
    this.userRev = 0n;
  }

  /** Everything held is worthless: another epoch. */
  forget(): void {
    this.begin();
    this.unanswered.clear();
    this.knowsOutdated = false;
  }
}
