import { lazy, Suspense, useEffect, useState } from "react";
import { nameOf, useClient, useItems, useObserved, useOpened, usePeople } from "./client.js";
import { go, usePlace } from "./route.js";
import { Avatar } from "../design/Avatar.js";
import { IconButton } from "../design/Button.js";
import { ConnectionBar } from "../features/connection/ConnectionBar.js";
import { useNotifications } from "../features/notifications/notifications.js";
import { RoomList } from "../features/rooms/RoomList.js";
import { Conversation } from "../features/timeline/Conversation.js";
import { useText } from "../text/index.js";

const CreateRoom = lazy(async () => ({ default: (await import("../features/rooms/CreateRoom.js")).CreateRoom }));
const Members = lazy(async () => ({ default: (await import("../features/members/Members.js")).Members }));
const Palette = lazy(async () => ({ default: (await import("../features/palette/Palette.js")).Palette }));
const Settings = lazy(async () => ({ default: (await import("../features/settings/Settings.js")).Settings }));
const SignOut = lazy(async () => ({ default: (await import("../features/signin/SignOut.js")).SignOut }));

/** What lies over the page. */
export type Over = "palette" | "create" | "signout";

/** The page of whoever is signed in: rooms, what was chosen, and who is in it; on a phone one of them at a time. */
export function Shell() {
  const text = useText();
  const client = useClient();
  const place = usePlace();
  const [over, setOver] = useState<Over>();
  const list = useOpened("all rooms", () => client.rooms()).list;
  const rooms = useItems(list);
  const room = place.kind === "Room" ? rooms.find((item) => item.id === place.roomId) : undefined;
  const members = place.kind === "Room" && place.members && room !== undefined;
  const state = useObserved(client.state);
  // A new browser knows no room before it has been connected; the one in front comes first.
  const known = room !== undefined || (list !== undefined && state.kind !== "Connecting");
  useNotifications(rooms, list !== undefined, place);
  useTitle(room?.name);
  const shown = place.kind === "Room" ? place.roomId : undefined;
  useEffect(() => client.setFocus(shown === undefined ? [] : [shown]), [client, shown]);
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setOver((now) => (now === "palette" ? undefined : "palette"));
      }
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
  const close = () => setOver(undefined);
  const pane = place.kind === "Rooms" ? "list" : members ? "side" : "main";
  return (
    <div className="shell" data-pane={pane} data-side={members}>
      <ConnectionBar />
      <div className="shell-list">
        <Me onSearch={() => setOver("palette")} />
        <RoomList place={place} onCreate={() => setOver("create")} />
      </div>
      {place.kind === "Rooms" && (
        <main className="whole-page shell-main soft">
          <div className="shell-choose">
            <strong>{text.rooms.choose}</strong>
            <p>{text.rooms.chooseLead}</p>
          </div>
        </main>
      )}
      {place.kind === "Room" && (
        <Conversation key={place.roomId} roomId={place.roomId} room={room} roomsKnown={known} membersShown={members} />
      )}
      <Suspense fallback={null}>
        {place.kind === "Settings" && <Settings page={place.page} onSignOut={() => setOver("signout")} />}
        {members && room && <Members key={room.id} room={room} />}
        {over === "palette" && <Palette onClose={close} onOver={setOver} />}
        {over === "create" && <CreateRoom onClose={close} />}
        {over === "signout" && <SignOut onClose={close} />}
      </Suspense>
    </div>
  );
}

function Me({ onSearch }: { readonly onSearch: () => void }) {
  const text = useText();
  const client = useClient();
  const me = useObserved(client.me);
  const state = useObserved(client.state);
  const user = usePeople(me ? [me] : []).get(me ?? "");
  const name = nameOf(user);
  return (
    <header className="pane-head shell-me">
      <button type="button" className="shell-person" onClick={() => go({ kind: "Settings", page: "profile" })} title={text.profile.title}>
        <Avatar name={name} here={state.kind === "Live"} />
        <bdi className="one-line">{name}</bdi>
      </button>
      <IconButton icon="search" label={`${text.palette.title} (Ctrl+K)`} onClick={onSearch} />
      <IconButton icon="settings" label={text.settings.title} onClick={() => go({ kind: "Settings", page: "general" })} />
    </header>
  );
}

/** Unread in the title of the tab, mentions before the rest. */
function useTitle(name: string | undefined): void {
  const client = useClient();
  const totals = useObserved(useOpened("totals", () => client.unreadTotals()).list);
  const count = totals ? totals.mentions || totals.unread : 0;
  useEffect(() => {
    document.title = `${count > 0 ? `(${count > 999 ? "999+" : count}) ` : ""}${name ? `${name} · ` : ""}Madang`;
  }, [count, name]);
}
