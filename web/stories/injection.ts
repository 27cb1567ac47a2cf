/** Names, bodies and links made to run something: nothing does. */

import { Visitor } from "./browser.js";
import { calm, check, type Story } from "./story.js";

const CORPUS = [
  `<script>window.hit=1</script>`,
  `<img src=x onerror="window.hit=1">`,
  `"><svg onload=window.hit=1>`,
  `javascript:window.hit=1`,
  `<a href="javascript:window.hit=1">x</a>`,
  `data:text/html,<script>window.hit=1</script>`,
  `<style>body{display:none}</style>`,
  `<iframe srcdoc="<script>parent.hit=1</script>">`,
  "{{constructor.constructor('window.hit=1')()}}",
  "${window.hit=1}",
  `https://a.example/"onmouseover="window.hit=1`,
  `https://bank.example@evil.example/`,
  "gnp.exe safe",
  `<math><mtext></form><form><mglyph><style></math><img src onerror=window.hit=1>`,
  "x".repeat(7_900),
];

export const injection: readonly Story[] = [
  [
    "nothing that people write is run, styled or followed",
    async ({ browser, address }) => {
      const ann = await Visitor.signIn(browser, address, "ann");
      await ann.createRoom(`<img src=x onerror="window.hit=1">`, []);
      const foreign: string[] = [];
      ann.page.on("request", (request) => {
        const { origin } = new URL(request.url());
        if (origin !== address && !request.url().includes("/realms/")) foreign.push(request.url());
      });
      for (const text of CORPUS) await ann.say(text === "gnp.exe safe" ? "\u202Egnp.exe\u202C safe" : text);
      await ann.page.waitForSelector('.message-text:has-text("xxxxxxxxxx")');
      const seen = await ann.page.$$eval(".message-text", (all) => all.map((element) => element.textContent));
      for (const text of CORPUS.slice(-8, -1)) check(seen.includes(text), `not shown as it is: ${text}`);
      const links = await ann.page.$$eval(".message-text a", (all) => all.map((link) => link.getAttribute("href")));
      check(links.every((href) => href?.startsWith("https://a.example/")), `links: ${links.join(" ")}`);
      const inside = await ann.page.$$eval(".message-text :not(a):not(.message-edited):not(button)", (all) => all.map((element) => element.outerHTML));
      check(inside.length === 0, `elements: ${inside.join(" ")}`);
      check(await ann.page.evaluate(() => !("hit" in window)), "something ran");
      check(foreign.length === 0, `requests: ${foreign.join(" ")}`);
      const wide = await ann.page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      check(!wide, "a long word makes the page wider than the screen");
      calm(ann);
    },
  ],
  [
    "the policy stops what would run, and says so",
    async ({ browser, address }) => {
      const ann = await Visitor.open(browser, address);
      await ann.page.waitForSelector(".signin");
      const stopped = await ann.page.evaluate(() => {
        try {
          document.body.innerHTML = "<p>x</p>";
          return false;
        } catch {
          return true;
        }
      });
      check(stopped, "trusted types are not asked for");
      await new Promise((resolve) => setTimeout(resolve, 300));
      check(Visitor.broken.length > 0, "nobody noticed: the story of no breach would prove nothing");
      Visitor.broken.length = 0;
    },
  ],
];
