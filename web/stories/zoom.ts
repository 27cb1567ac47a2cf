/** The page zoomed to 200 %: half as many pixels of its own, each twice as large. */

import type { Page } from "playwright-core";
import { Visitor } from "./browser.js";
import { accessible, calm, check, type Story } from "./story.js";

/** A screen of 1280 by 800 at 200 %. */
const ZOOMED = { width: 640, height: 400, scale: 2 };

/** What is wider than its place, or lies where no scrolling leads. Runs in the page. */
function cutOff(): string[] {
  const found: string[] = [];
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page scrolls sideways");
  const name = (element: Element) => `${element.tagName.toLowerCase()}.${element.className} "${(element.textContent ?? "").slice(0, 30)}"`;
  for (const element of document.querySelectorAll<HTMLElement>("button, a, input, textarea, label, h1, h2, p, legend, dt, dd, strong")) {
    if (element.closest(".hidden-text, [hidden], .timeline-rows") || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const box = element.getBoundingClientRect();
    if (box.width === 0 || box.height === 0) continue;
    if (box.left < -1 || box.right > innerWidth + 1) found.push(`beside the screen: ${name(element)}`);
    const { overflowX, textOverflow } = getComputedStyle(element);
    const cuts = overflowX === "hidden" && textOverflow !== "ellipsis" && !element.matches("input, textarea");
    if (cuts && element.scrollWidth > element.clientWidth + 1) found.push(`cut off: ${name(element)}`);
    element.scrollIntoView({ block: "nearest" });
    const seen = element.getBoundingClientRect();
    if (seen.bottom <= 0 || seen.top >= innerHeight) found.push(`cannot be scrolled to: ${name(element)}`);
  }
  return found;
}

async function whole(page: Page, where: string): Promise<void> {
  const found = await page.evaluate(cutOff);
  check(found.length === 0, `${where}: ${found.join("; ")}`);
}

export const zoom: readonly Story[] = [
  [
    "at 200 % nothing is cut off, and nothing scrolls sideways",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann", ZOOMED);
      const { page } = ann;
      await ann.createRoom("a room with quite a long name, as committees have", ["bob", "cat"]);
      await ann.say(`a word that nobody can break: ${"x".repeat(200)}`);
      await page.waitForSelector('.message[data-state="Sent"]');
      const room = new URL(page.url()).pathname;
      await whole(page, "chat");
      await accessible(ann, "chat at 200 %");
      // The line to write in, and room to read.
      const line = await page.locator(".composer").boundingBox();
      const read = await page.locator(".timeline-scroller").boundingBox();
      check(line !== null && line.y + line.height <= ZOOMED.height + 1, "the line to write in is below the screen");
      check(read !== null && read.height > ZOOMED.height / 3, `${read?.height ?? 0} pixels are left to read`);
      await page.click(".conversation-members");
      await page.waitForSelector(".members-row");
      await whole(page, "members");
      await page.keyboard.press("Control+k");
      await page.waitForSelector(".palette [role=option]");
      await whole(page, "palette");
      await page.keyboard.press("Escape");
      for (const [path, there] of [
        ["/", ".rooms-row"],
        ["/settings/general", ".settings-keys"],
        ["/settings/profile", ".settings-form"],
        ["/settings/devices", ".device"],
      ] as const) {
        await page.goto(address + path);
        await page.waitForSelector(there);
        await whole(page, path);
      }
      await page.goto(address);
      await page.click(".rooms-tools .icon-button");
      await page.waitForSelector(".dialog input");
      await whole(page, "a new room");
      await page.locator(".dialog .button.main").scrollIntoViewIfNeeded();
      const button = await page.locator(".dialog .button.main").boundingBox();
      check(button !== null && button.y + button.height <= ZOOMED.height + 1, "the dialog's button cannot be reached");
      await page.goto(address + room);
      await page.waitForSelector(".composer");
      calm(ann);
    },
  ],
];
