/** Browsers as people use them: Debian's Chromium, signed in through the issuer's page. */

import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";

/** A browser; one is for all stories. `keepsPages`: it keeps pages that are left, to come back to, which Playwright has it not do. */
export async function launch(keepsPages = false): Promise<Browser> {
  // As root, as in a container, Chromium runs without its sandbox only.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const ignoreDefaultArgs = keepsPages ? ["--disable-back-forward-cache"] : [];
  return chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args, ignoreDefaultArgs });
}

/** How long a story waits for what it is about: a machine that is busy with other things is not what it is about. */
export const PATIENCE_MS = 45_000;

/** How a window looks. */
export interface Look {
  readonly theme?: "light" | "dark";
  readonly language?: "ko-KR" | "en-US";
  readonly width?: number;
  readonly height?: number;
  /** Pixels of the screen to one of the page: 2 in half the width is what zooming to 200 % is. */
  readonly scale?: number;
}

/** A person in a window of their own. */
export class Visitor {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What pages did against their policy, in any window: none is good. */
  static readonly broken: string[] = [];
  /** What the page complained of. */
  readonly complaints: string[] = [];

  private constructor(page: Page, context: BrowserContext) {
    this.page = page;
    this.context = context;
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (message) => {
      if (POLICY.test(message.text())) Visitor.broken.push(message.text());
      if (message.type() === "error" && !NETWORK.test(message.text())) this.complaints.push(message.text());
    });
    page.on("dialog", (dialog) => {
      this.complaints.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
  }

  /** Opens the page at an address. */
  static async open(browser: Browser, address: string, look: Look = {}): Promise<Visitor> {
    const context = await browser.newContext({
      viewport: { width: look.width ?? 1280, height: look.height ?? 800 },
      deviceScaleFactor: look.scale ?? 1,
      colorScheme: look.theme ?? "light",
      locale: look.language ?? "en-US",
      timezoneId: "Asia/Seoul",
    });
    // What is evaluated in the page was compiled here, and names its functions by this.
    await context.addInitScript("globalThis.__name = (named) => named;");
    const visitor = new Visitor(await context.newPage(), context);
    await visitor.page.goto(address);
    return visitor;
  }

  /** Opens another tab of the same browser; `first`: a script that runs in it before all others. */
  async tab(address: string, first = ""): Promise<Visitor> {
    const other = new Visitor(await this.context.newPage(), this.context);
    await other.page.addInitScript(first);
    await other.page.goto(address);
    return other;
  }

  /** Opens the page and signs in through the issuer's page. */
  static async signIn(browser: Browser, address: string, login: string, look: Look = {}): Promise<Visitor> {
    const visitor = await Visitor.open(browser, address, look);
    await visitor.passIssuer(login);
    return visitor;
  }

  /** From the page's button through the issuer's page and back. */
  async passIssuer(login: string): Promise<void> {
    await this.page.click(".signin .button.main");
    await this.page.fill("#login", login);
    await this.page.fill("#password", login);
    await this.page.click("button[type=submit]");
    await this.page.waitForSelector(".shell");
  }

  /** Waits until the page is connected. */
  async live(): Promise<void> {
    await this.page.waitForSelector('.shell-person .avatar[data-here="true"]');
  }

  /** Makes a room with people, by their logins; ends up in it. */
  async createRoom(name: string, logins: readonly string[]): Promise<void> {
    const { page } = this;
    await page.click(".rooms-tools .icon-button");
    await page.fill(".dialog input >> nth=0", name);
    for (const login of logins) {
      await page.fill(".dialog [role=combobox]", login);
      await page.waitForSelector(".offered [role=option]");
      await page.press(".dialog [role=combobox]", "Enter");
    }
    await page.click(".dialog .button.main");
    await page.locator(".conversation h1", { hasText: name }).waitFor();
    await page.locator(".dialog").waitFor({ state: "detached" });
    await page.waitForSelector(".composer");
  }

  /** Opens a room from the list. */
  async openRoom(name: string): Promise<void> {
    await this.page.click(`.rooms-row:has-text("${name}")`);
    await this.page.waitForSelector(".composer textarea");
  }

  /** Types a message and sends it. */
  async say(text: string): Promise<void> {
    await this.page.fill(".composer textarea", text);
    await this.page.press(".composer textarea", "Enter");
  }

  /** The same with a mention at its beginning, chosen from the list. */
  async sayTo(text: string): Promise<void> {
    const [, name, rest] = /^@(\S+) (.*)$/u.exec(text) ?? [];
    if (name === undefined || rest === undefined) return this.say(text);
    await this.page.locator(".composer textarea").pressSequentially(`@${name}`);
    await this.page.locator(".mention-list [role=option]", { hasText: name }).waitFor();
    await this.page.keyboard.press("Enter");
    await this.page.keyboard.type(rest);
    await this.page.keyboard.press("Enter");
  }

  /** Waits until a message is seen. */
  async sees(text: string): Promise<void> {
    await this.page.locator(".message-text", { hasText: text }).first().waitFor();
  }

  /** The texts of the messages that are drawn, in their order. */
  async messages(): Promise<string[]> {
    return this.page.$$eval(".timeline-row", (rows) =>
      rows
        .sort((a, b) => Number((a as HTMLElement).dataset["index"]) - Number((b as HTMLElement).dataset["index"]))
        .flatMap((row) => row.querySelector(".message-text")?.firstChild?.textContent ?? []),
    );
  }

  /** Waits until nothing above the page says that something is wrong. */
  async isQuiet(): Promise<void> {
    await this.page.waitForSelector(".shell:not(:has(.connection-bar))");
  }

  /** Closes the window. */
  async close(): Promise<void> {
    await this.context.close();
  }
}

/** How Chromium says that a policy was not kept. */
const POLICY = /Content Security Policy|Trusted(HTML|Script)/u;

/** A lost connection is what some stories are about. */
const NETWORK = /Failed to load resource|net::ERR_|WebSocket/u;
