/** Profiles: fetched in batches when a name is needed that is not known, or when one has changed. */

import { UserService } from "../gen/madang/v1/user_service_pb.js";
import { failureOf, isBeforeTheWire, mayRepeat } from "../net/failure.js";
import * as people from "../store/people.js";
import { delayMs, sleep } from "../time.js";
import type { Core } from "./core.js";

/** People in one call; the server takes no more. */
const BATCH = 200;

/** Fetches whoever is wanted, in every tab: each knows what its screen needs. */
export async function run(core: Core, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const batch = [...core.wanted].slice(0, BATCH);
    if (batch.length === 0) {
      await core.bells.people.wait(signal);
      continue;
    }
    await core.online.until((online) => online, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      if (await fetchPeople(core, batch)) {
        failures = 0;
      } else {
        // Something has changed since it was read; the server has it by the next look.
        failures += 1;
        await sleep(delayMs(core.backoff, failures), signal);
      }
    } catch (error) {
      const failure = failureOf(error);
      if (mayRepeat(failure) || isBeforeTheWire(failure) || failure.kind === "Storage") {
        failures += 1;
        await sleep(Math.max(failure.retryAfterMs ?? 0, delayMs(core.backoff, failures)), signal);
      } else {
        for (const id of batch) core.wanted.delete(id);
      }
    }
  }
}

/** Fetches profiles; `false`: some of them have changed meanwhile and are wanted still. */
async function fetchPeople(core: Core, userIds: readonly string[]): Promise<boolean> {
  const request = { userIds: [...userIds] };
  const askedAt = await core.store.read((r) => people.changesOfAll(r.tx));
  const { users } = await core.connection.callOnce(UserService, (caller, options) => caller.batchGetUsers(request, options));
  const outdated = new Set(await core.store.write("relaxed", (w) => people.take(w, users, askedAt)));
  const found = new Set(users.map((user) => user.id));
  core.areNobody(userIds.filter((id) => !found.has(id)));
  for (const id of userIds) if (!outdated.has(id)) core.wanted.delete(id);
  return outdated.size === 0;
}
