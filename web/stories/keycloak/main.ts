/**
 * Two people in browsers at a company whose issuer is a Keycloak: `npm run keycloak -- SERVER ANN BOB PASSWORD`, by the tests of the
 * server with Keycloak (`cargo xtask test keycloak`).
 */

import { launch, Visitor } from "../browser.js";
import { calm, check, until } from "../story.js";

/** Goes from the app's page to Keycloak's and signs in there. */
async function signIn({ page }: Visitor, login: string, password: string): Promise<void> {
  await page.click(".signin .button.main");
  await page.fill("#username", login);
  await page.fill("#password", password);
  await page.click("#kc-login");
  await page.waitForSelector(".shell");
}

const [server = "", ann = "", bob = "", password = ""] = process.argv.slice(2);
const browser = await launch();
const [first, second] = [await Visitor.open(browser, server), await Visitor.open(browser, server)];
await signIn(first, ann, password);
await signIn(second, bob, password);
// Both are known to the server now, and so to each other.
await first.live();
await second.live();
await first.createRoom("courtyard", [bob]);
await second.openRoom("courtyard");
await first.say("hello from the one");
await second.sees("hello from the one");
await second.say("and from the other");
await first.sees("and from the other");
// A reload is no sign-in.
await first.page.reload();
await first.sees("and from the other");
await first.live();
await first.page.goto(`${server}/settings/general`);
await first.page.click(".settings .pane-head .button");
await first.page.click(".dialog .button.main");
await first.page.waitForSelector(".signin");
await second.say("alone now");
// Signed out at Keycloak as well: it asks who one is, and lets in whoever that is.
await signIn(first, bob, password);
await first.openRoom("courtyard");
await first.sees("alone now");
const name = async (visitor: Visitor) => visitor.page.textContent(".shell-person bdi");
await until("both are the same person", async () => (await name(first)) === (await name(second)));
calm(first, second);
check(Visitor.broken.length === 0, `against the policy: ${Visitor.broken.join("\n")}`);
await browser.close();
