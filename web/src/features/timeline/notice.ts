import type { NoticeItem } from "@madang/client";
import type { Catalogue } from "../../text/index.js";

/** What happened in a room, in words. */
export function noticeText(item: NoticeItem, text: Catalogue): string {
  const nameOf = (name: string) => name || text.common.unknownPerson;
  const actor = nameOf(item.actor.name);
  const about = item.notice === "Renamed" ? (item.params["name"] ?? "") : item.people.map((person) => nameOf(person.name)).join(", ");
  return text.timeline.notice[item.notice](actor, about);
}
