/** Input methods, and nothing typed is ever lost. */

import { Visitor } from "./browser.js";
import { calm, check, until, type Story } from "./story.js";

export const composing: readonly Story[] = [
  [
    "Enter while a syllable is composed sends nothing",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann", { language: "ko-KR" });
      await ann.createRoom("한글", []);
      const area = ann.page.locator(".composer textarea");
      await area.focus();
      const session = await ann.context.newCDPSession(ann.page);
      await session.send("Input.imeSetComposition", { text: "안녀", selectionStart: 2, selectionEnd: 2 });
      await session.send("Input.dispatchKeyEvent", { type: "rawKeyDown", key: "Enter", code: "Enter", windowsVirtualKeyCode: 229 });
      await session.send("Input.imeSetComposition", { text: "안녕", selectionStart: 2, selectionEnd: 2 });
      check((await ann.page.locator(".message").count()) === 0, "a half syllable was sent");
      check((await area.inputValue()) === "안녕", `composed: ${await area.inputValue()}`);
      await session.send("Input.insertText", { text: "안녕" });
      await ann.page.keyboard.press("Enter");
      await ann.sees("안녕");
      check((await ann.page.locator(".message").count()) === 1, "it was sent more than once");
      check((await area.inputValue()) === "", "something stayed in the line");
      calm(ann);
    },
  ],
  [
    "what was typed is there after a reload, in its room, and is gone once it was sent",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom("drafts a", []);
      await ann.page.locator(".composer textarea").pressSequentially("half a thou");
      await ann.page.reload();
      const area = ann.page.locator(".composer textarea");
      await until("the draft is back", async () => (await area.inputValue()) === "half a thou");
      await ann.createRoom("drafts b", []);
      check((await area.inputValue()) === "", "the draft is in another room");
      await ann.page.waitForSelector('.rooms-row:has-text("drafts a") .rooms-draft');
      await ann.openRoom("drafts a");
      await until("the draft is in its room", async () => (await area.inputValue()) === "half a thou");
      await area.press("Enter");
      await ann.sees("half a thou");
      await ann.page.reload();
      await ann.sees("half a thou");
      check((await area.inputValue()) === "", "what was sent is a draft again");
      calm(ann);
    },
  ],
];
