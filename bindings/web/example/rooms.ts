// The smallest honest page: rooms, and a message into the first of them.

import { Client, ClientError } from "../src/index.js";

/** Shows the rooms of whoever the tokens are for, as they change; the answer ends that. */
export async function rooms(
  server: string,
  token: (fresh: boolean) => Promise<string>,
  show: (lines: string[]) => void,
): Promise<() => Promise<void>> {
  const client = await Client.open({ server, tokens: token });

  // The list is whole at once, from the store; each batch of changes can be applied as it comes.
  const list = await client.rooms({ sort: "UnreadFirst" });
  const shown = () => list.items.map((room) => `${room.name} (${room.unread})`);
  list.onDiff(() => show(shown()));
  show(shown());

  return () => client.shutdown();
}

/** Writes, offline too: what was typed is in the store when the call returns, and leaves by itself, once. */
export async function write(client: Client, roomId: string, text: string): Promise<string> {
  const id = await client.send(roomId, text);
  try {
    // Whoever wants to know waits; everybody else looks at the timeline, which shows the message at once.
    return `stored at ${await client.settled(id)}`;
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return `refused: ${error.reason ?? error.kind}`;
  }
}
