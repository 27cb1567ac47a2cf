/** The main screens, in both themes and both languages, wide and narrow; they also stand in the documentation. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Visitor, type Look } from "./browser.js";
import { accessible, calm, check, until, type Stage, type Story } from "./story.js";

const IMAGES = join(import.meta.dirname, "../../docs/images");

interface Picture {
  readonly name: string;
  readonly look: Look;
  readonly path?: string;
  act?(ann: Visitor): Promise<void>;
}

const openMembers = async (ann: Visitor) => {
  await ann.page.click(".conversation-members");
  await ann.page.waitForSelector(".members-row");
};

const PICTURES: readonly Picture[] = [
  { name: "chat-light-ko", look: { language: "ko-KR" } },
  { name: "chat-dark-ko", look: { language: "ko-KR", theme: "dark" }, act: openMembers },
  { name: "chat-light-en", look: {}, act: openMembers },
  { name: "chat-dark-en", look: { theme: "dark" } },
  { name: "phone-light-ko", look: { language: "ko-KR", width: 390, height: 780 } },
  { name: "phone-dark-en", look: { theme: "dark", width: 390, height: 780 } },
  {
    name: "palette-light-ko",
    look: { language: "ko-KR" },
    act: async (ann) => {
      await ann.page.keyboard.press("Control+k");
      await ann.page.waitForSelector(".palette [role=option]");
    },
  },
  { name: "settings-dark-ko", look: { language: "ko-KR", theme: "dark" }, path: "/settings/profile" },
];

/** A morning in a team, of people whom no other story knows by name. */
async function morning({ browser, address }: Stage): Promise<string> {
  const ann = await Visitor.signIn(browser, `${address}/settings/profile`, "dan");
  const bob = await Visitor.signIn(browser, `${address}/settings/profile`, "admin");
  const cat = await Visitor.signIn(browser, `${address}/settings/profile`, "auditor");
  for (const [visitor, name, title] of [[ann, "김다은", "제품 기획"], [bob, "이보람", "백엔드 개발"], [cat, "박하늘", "디자인"]] as const) {
    await visitor.live();
    await visitor.page.fill(".settings-form >> nth=1 >> input >> nth=0", name);
    await visitor.page.fill(".settings-form >> nth=1 >> input >> nth=1", title);
    await visitor.page.click(".settings-form >> nth=1 >> .button.main");
    await visitor.page.waitForSelector('.settings-form >> nth=1 >> [role=status]:not(:empty)');
  }
  for (const [name, text] of [
    ["운영 알림", "디스크 사용량 81% (node-2)"],
    ["고객 지원 2팀", "문의 세 건 모두 답변드렸습니다."],
    ["디자인 리뷰", "@김다은 버튼 간격만 다시 보면 될 것 같아요."],
    ["점심 어디 가지", "오늘은 칼국수 어때요?"],
    ["전사 공지", "12월 근무 일정 안내드립니다."],
  ] as const) {
    await bob.createRoom(name, ["dan", "auditor"]);
    await bob.page.waitForSelector(".conversation-members");
    await bob.sayTo(text);
    await bob.page.waitForSelector('.message[data-state="Sent"]');
  }
  await ann.createRoom("마당 개발", ["admin", "auditor"]);
  const room = new URL(ann.page.url()).pathname;
  await bob.openRoom("마당 개발");
  await cat.openRoom("마당 개발");
  const lines: readonly (readonly [Visitor, string])[] = [
    [bob, "좋은 아침입니다. 어제 말씀드린 알림 지연 문제, 원인을 찾았습니다."],
    [bob, "커밋이 몰릴 때 한 방의 이벤트가 다음 묶음을 기다리고 있었네요.\n- 수정: 방별로 따로 내보내기\n- 결과: p95 38ms에서 11ms로"],
    [cat, "오 빠르네요 👏"],
    [ann, "고맙습니다! 그럼 오늘 오후 3시에 배포하는 걸로 할게요."],
    [ann, "시험 결과는 https://wiki.example.com/qa/2026-11-28 에 올려 두었습니다."],
    [cat, "배포 전에 되돌리기 절차 한 번만 같이 봐요. 회의실은 2층 '마루'로 잡아 두었습니다."],
    [bob, "네, 2시 반에 마루에서 봬요."],
  ];
  for (const [n, [visitor, text]] of lines.entries()) {
    // The last two come while she is away.
    if (n === lines.length - 2) await ann.close();
    await visitor.say(text);
    await (visitor === bob ? cat : bob).sees(text.split("\n")[0] ?? text);
  }
  calm(ann, bob, cat);
  return room;
}

/** Rows have their places, and what is read is read. */
async function atRest(ann: Visitor): Promise<void> {
  let last = "";
  await until("the rows come to rest", async () => {
    const now = await ann.page.$$eval(".timeline-row, .rooms-row", (rows) => rows.map((row) => row.getBoundingClientRect().top).join());
    const same = now === last;
    last = now;
    return same;
  });
}

export const pictures: readonly Story[] = [
  [
    "the main screens look as they should, without serious findings",
    async (stage) => {
      const room = await morning(stage);
      await mkdir(IMAGES, { recursive: true });
      const { browser, address } = stage;
      for (const { name, look, path, act } of PICTURES) {
        const ann = await Visitor.signIn(browser, address + (path ?? room), "dan", look);
        await ann.page.waitForSelector(path ? ".settings-form" : '.message-text:has-text("마루에서")');
        await atRest(ann);
        await act?.(ann);
        await accessible(ann, name);
        const wide = await ann.page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
        check(!wide, `${name}: wider than the screen`);
        calm(ann);
        if (stage.keepPictures) await ann.page.screenshot({ path: join(IMAGES, `web-${name}.png`) });
        await ann.close();
      }
    },
  ],
];
