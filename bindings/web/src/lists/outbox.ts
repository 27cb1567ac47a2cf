/** What was typed and the server does not have. */

import { requestOf } from "../engine/changes.js";
import type { Core } from "../engine/core.js";
import { EditMessageRequestSchema, SendMessageRequestSchema } from "../gen/madang/v1/message_service_pb.js";
import * as outbox from "../store/outbox.js";
import { type Entry, kindOf } from "../store/outbox.js";
import type { WaitingChange } from "./item.js";
import { FollowedList, type LiveList } from "./list.js";
import { positionOf, sendStateOf } from "./messages.js";

/** What waits, is on its way or has failed, of all rooms, oldest first. */
export class OutboxList extends FollowedList<WaitingChange> {
  private constructor(core: Core) {
    super(core, core.observers.listen(), (item) => item.id);
  }

  static async open(core: Core): Promise<LiveList<WaitingChange>> {
    const list = new OutboxList(core);
    await list.begin();
    return list;
  }

  protected async read(): Promise<readonly WaitingChange[]> {
    return (await this.core.store.read((r) => outbox.waiting(r.tx))).map(changeOf);
  }
}

function changeOf(entry: Entry): WaitingChange {
  const kind = kindOf(entry);
  const named = kind === "Edit" || kind === "Delete" ? positionOf(entry) : 0;
  const schema = kind === "Send" ? SendMessageRequestSchema : kind === "Edit" ? EditMessageRequestSchema : undefined;
  return {
    id: entry.changeId,
    kind,
    roomId: entry.roomId,
    message: entry.target || named || undefined,
    text: schema ? (requestOf(schema, entry).body?.text ?? "") : "",
    state: sendStateOf(entry),
    createdAt: new Date(entry.createdMs),
  };
}
