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
      await fetchPeople(core, batch);
      failures = 0;
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

async function fetchPeople(core: Core, userIds: readonly string[]): Promise<void> {
  const request = { userIds: [...userIds] };
  const { users } = await core.connection.callOnce(UserService, (caller, options) => caller.batchGetUsers(request, options));
  await core.store.write("relaxed", async (w) => {
    w.changes.people = true;
    await people.upsert(w.tx, users);
  });
  const found = new Set(users.map((user) => user.id));
  core.areNobody(userIds.filter((id) => !found.has(id)));
  for (const id of userIds) core.wanted.delete(id);
}
