/** Sign-in, sign-out, and what can go wrong with them. */

import type { Page } from "playwright-core";
import { Visitor } from "./browser.js";
import { accessible, calm, check, until, type Story } from "./story.js";

export const accounts: readonly Story[] = [
  [
    "signing in leads back to where one was going, and no token is where other pages could find it",
    async ({ browser, address }) => {
      const ann = await Visitor.open(browser, `${address}/settings/profile`);
      await accessible(ann, "sign-in");
      await ann.passIssuer("ann");
      await ann.page.waitForSelector(".settings-form");
      check(new URL(ann.page.url()).pathname === "/settings/profile", `ended at ${ann.page.url()}`);
      const local = await ann.page.evaluate(() => JSON.stringify(localStorage));
      check(!local.includes("eyJ"), `a token in localStorage: ${local}`);
      await ann.page.reload();
      await ann.page.waitForSelector(".settings-form");
      calm(ann);
    },
  ],
  [
    "a forged state is said, and there is a way on",
    async ({ browser, address }) => {
      const ann = await Visitor.open(browser, `${address}/signin/callback?code=stolen&state=forged`);
      await ann.page.waitForSelector(".trouble");
      check(new URL(ann.page.url()).pathname === "/", "the code stays in the address");
      check(await ann.page.evaluate(() => Object.keys(sessionStorage).every((key) => !key.includes("user"))), "somebody is signed in");
      await ann.passIssuer("ann");
      await ann.page.waitForSelector(".rooms");
    },
  ],
  [
    "a second tab is signed in by the first, and signing out ends both",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      const second = await ann.context.newPage();
      await second.goto(`${address}/settings/devices`);
      await second.waitForSelector(".device");
      await ann.page.goto(`${address}/settings/general`);
      await ann.page.click(".settings .pane-head .button");
      await ann.page.click(".dialog .button.main");
      await ann.page.waitForSelector(".signin");
      await second.waitForSelector(".connection-bar");
      calm(ann);
    },
  ],
  [
    "a device that is ended by another is told at once",
    async ({ browser, address }) => {
      const first = await Visitor.signIn(browser, address, "dan");
      const second = await Visitor.signIn(browser, `${address}/settings/devices`, "dan");
      await until("two devices are connected", async () => {
        await second.page.reload();
        await second.page.waitForSelector(".device");
        return (await second.page.locator(".device .button.danger").count()) > 0;
      });
      await second.page.click(".device .button.danger >> nth=0");
      await second.page.click(".dialog .button.main");
      await first.page.waitForSelector(".connection-bar .button");
      calm(second);
    },
  ],
  [
    "a token that ends is renewed in time, once for all tabs, and the stream goes on",
    async ({ browser, address, ground }) => {
      await ground.say("lifetime 20");
      try {
        const ann = await Visitor.signIn(browser, address, "ann");
        await ann.createRoom("renewal", ["bob"]);
        const second = await ann.context.newPage();
        await second.goto(address);
        await second.waitForSelector(".rooms-row");
        const token = (page: Page) => page.evaluate(() => (JSON.parse(sessionStorage.getItem("madang.session") ?? "{}") as { accessToken: string }).accessToken);
        for (let n = 0; n < 3; n += 1) {
          const old = await token(ann.page);
          await until("another token", async () => (await token(ann.page)) !== old, 25_000);
          await until("the same in both tabs", async () => (await token(ann.page)) === (await token(second)));
        }
        check((await ann.page.locator(".connection-bar").count()) === 0, "the connection was lost");
        await ann.say("still here");
        await ann.page.waitForSelector('.message[data-state="Sent"]:has-text("still here")');
        calm(ann);
      } finally {
        await ground.say("lifetime 300");
      }
    },
  ],
  [
    "a tab that hears late of a renewal waits for it: no refresh token is used twice",
    async ({ browser, address, ground }) => {
      await ground.say("lifetime 20");
      try {
        const ann = await Visitor.signIn(browser, address, "ann");
        const second = await ann.tab(address, LATE);
        await second.live();
        await second.page.evaluate((ms) => Object.assign(globalThis, { lateMs: ms }), LATE_MS);
        const refused: string[] = [];
        for (const { page } of [ann, second]) {
          page.on("response", (answer) => {
            if (answer.url().endsWith("/token") && !answer.ok()) refused.push(`${answer.status()} ${answer.url()}`);
          });
        }
        const since = ({ page }: Visitor) => page.evaluate(() => (JSON.parse(sessionStorage.getItem("madang.session") ?? "{}") as { since: number }).since);
        for (let n = 0; n < 3; n += 1) {
          const old = await since(second);
          await until("newer tokens in the second tab", async () => (await since(second)) > old, 25_000);
        }
        check(refused.length === 0, `refused: ${refused.join(", ")}`);
        for (const visitor of [ann, second]) await visitor.isQuiet();
        calm(ann, second);
      } finally {
        await ground.say("lifetime 300");
      }
    },
  ],
];

/** Longer than from one tab's time to renew to the other's. */
const LATE_MS = 4_000;

/** Lets a tab hear late what the others tell of the session. */
const LATE = `
  globalThis.BroadcastChannel = class extends BroadcastChannel {
    set onmessage(told) {
      super.onmessage = (event) => setTimeout(told, (this.name === "madang-session" && globalThis.lateMs) || 0, event);
    }
  };`;
