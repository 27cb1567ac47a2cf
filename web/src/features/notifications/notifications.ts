import type { RoomItem } from "@madang/client";
import { useEffect, useRef, type RefObject } from "react";
import { useClient } from "../../app/client.js";
import { go, type Place } from "../../app/route.js";
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
 * Tells on the desktop of what comes into rooms that are not in front of the person. Only the tab that holds the stream does, so
 * that it is told once; and once a room, the newest.
 */
export function useNotifications(rooms: readonly RoomItem[], known: boolean, place: Place): void {
  const text = useText();
  const client = useClient();
  const { notify } = usePreferences();
  const before = useRef<Map<string, Before>>(undefined);
  const front = useFront(client.deviceId, place);
  useEffect(() => {
    if (!known) return;
    const last = before.current;
    before.current = new Map(rooms.map((room) => [room.id, { unread: room.unread, mentions: room.mentions }]));
    if (!last || !client.leads.now) return;
    if (typeof Notification === "undefined" || Notification.permission !== "granted") return;
    for (const room of rooms) {
      if (room.id === front.current?.roomId) continue;
      // A room that is new here is one somebody invited to: what is unread there is news.
      if (!isWorth(room, last.get(room.id) ?? { unread: 0, mentions: 0 }, notify)) continue;
      const shown = new Notification(room.name, { body: lastWords(room.lastMessage, room.kind !== "Dm", text), tag: room.id });
      shown.onclick = () => {
        window.focus();
        go({ kind: "Room", roomId: room.id, members: false });
        shown.close();
      };
    }
  }, [rooms, known, notify, client, text, front]);
}

/** The room that is in front of the person. */
interface Front {
  readonly tab: string;
  /** None: another page of this one, or the window has not the focus. */
  readonly roomId: string | undefined;
}

/** The room in front of the person, in whichever of the tabs of an installation: they tell each other. */
function useFront(deviceId: string, place: Place): RefObject<Front | undefined> {
  const front = useRef<Front>(undefined);
  const roomId = place.kind === "Room" ? place.roomId : undefined;
  useEffect(() => {
    const channel = new BroadcastChannel(`madang-front ${deviceId}`);
    // The tab that is left may say so after the other has said that it is the one.
    channel.onmessage = ({ data }: MessageEvent<Front>) => {
      if (data.roomId || data.tab === front.current?.tab) front.current = data;
    };
    const tell = () => {
      const now = { tab: TAB, roomId: document.hasFocus() ? roomId : undefined };
      if (!now.roomId && front.current?.tab !== TAB) return;
      front.current = now;
      channel.postMessage(now);
    };
    tell();
    addEventListener("focus", tell);
    addEventListener("blur", tell);
    return () => {
      removeEventListener("focus", tell);
      removeEventListener("blur", tell);
      channel.close();
    };
  }, [deviceId, roomId]);
  return front;
}

/** This tab, among those of a browser. */
const TAB = `${Date.now()}-${Math.random()}`;
