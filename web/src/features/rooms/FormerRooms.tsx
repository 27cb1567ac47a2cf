import type { RoomItem } from "@madang/client";
import { useState } from "react";
import { useClient, useTask } from "../../app/client.js";
import { go } from "../../app/route.js";
import { Trouble } from "../../design/Trouble.js";
import { useText } from "../../text/index.js";

/** Rooms that the person has left: readable, and a way back in. Asked for when they are looked for. */
export function FormerRooms() {
  const text = useText();
  const client = useClient();
  const task = useTask();
  const [rooms, setRooms] = useState<readonly RoomItem[]>([]);
  return (
    <details
      className="rooms-former"
      onToggle={(event) => {
        if (event.currentTarget.open) void task.run(async () => setRooms(await client.formerRooms()));
      }}
    >
      <summary>{text.rooms.former}</summary>
      {task.error !== undefined && <Trouble error={task.error} />}
      {!task.busy && rooms.length === 0 && <p className="soft small">{text.common.nothingFound}</p>}
      <ul>
        {rooms.map((room) => (
          <li key={room.id}>
            <button type="button" className="button plain" onClick={() => go({ kind: "Room", roomId: room.id, members: false })}>
              <bdi className="one-line">{room.name}</bdi>
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}
