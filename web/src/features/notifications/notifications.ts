import type { RoomItem } from "@madang/client";
import { useEffect, useRef } from "react";
import { useClient } from "../../app/client.js";
import { go } from "../../app/route.js";
import { useText } from "../../text/index.js";
import { usePreferences, type Preferences } from "../settings/preferences.js";
import { lastWords } from "../rooms/RoomList.js";

/** What was unread in a room when it was last looked at. */
export interface Before {
  readonly unread: number;
  readonly mentions: number;
}

/** Whether what changed in a room is worth a notification on the desktop. */
export function isWorth(room: RoomItem, before: Before | undefined, notify: Preferences["notify"]): boolean {
  const last = room.lastMessage;
  if (notify === "off" || !before || room.muted || last?.kind !== "Message" || last.mine || last.deleted) return false;
  if (room.mentions > before.mentions) return true;
  return room.unread > before.unread && (notify === "all" || room.kind === "Dm");
}

/**
 * Tells on the desktop of what comes while nobody looks at the page. Only the tab that holds the stream does, so that it is told
 * once; and once a room, the newest.
 */
export function useNotifications(rooms: readonly RoomItem[], known: boolean): void {
  const text = useText();
  const client = useClient();
  const { notify } = usePreferences();
  const before = useRef<Map<string, Before>>(undefined);
  useEffect(() => {
    if (!known) return;
    const last = before.current;
    before.current = new Map(rooms.map((room) => [room.id, { unread: room.unread, mentions: room.mentions }]));
    if (!last || !client.leads.now || document.hasFocus()) return;
    if (typeof Notification === "undefined" || Notification.permission !== "granted") return;
    for (const room of rooms) {
      // A room that is new here is one somebody invited to: what is unread there is news.
      if (!isWorth(room, last.get(room.id) ?? { unread: 0, mentions: 0 }, notify)) continue;
      const shown = new Notification(room.name, { body: lastWords(room.lastMessage, room.kind !== "Dm", text), tag: room.id });
      shown.onclick = () => {
        window.focus();
        go({ kind: "Room", roomId: room.id, members: false });
        shown.close();
      };
    }
  }, [rooms, known, notify, client, text]);
}
