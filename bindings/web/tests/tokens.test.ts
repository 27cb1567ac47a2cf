import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Tokens } from "../src/net/tokens.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const jwt = (sub: string, iat: number, exp: number) => `h.${btoa(JSON.stringify({ iss: "https://i", sub, iat, exp }))}.s`;
const seconds = () => Date.now() / 1000;

test("many that wait share one renewal, and one who comes late gets the new one", async () => {
  const host = vi.fn(async (fresh: boolean) => (fresh ? "second" : "first"));
  const tokens = new Tokens(host);
  const first = await tokens.forCall();
  expect(await Promise.all(Array.from({ length: 100 }, () => tokens.renew(first)))).toEqual(Array(100).fill("second"));
  expect(await tokens.renew(first)).toBe("second");
  expect(host.mock.calls.filter(([fresh]) => fresh)).toHaveLength(1);
});

test("after a new sign-in no answer to a question of before is taken", async () => {
  const answers: ((token: string) => void)[] = [];
  const tokens = new Tokens(() => new Promise((resolve) => answers.push(resolve)));
  void tokens.forCall();
  tokens.forget();
  const asked = tokens.forCall();
  answers[0]?.("before");
  answers[1]?.("after");
  expect(await asked).toBe("after");
});

test("a host that hangs fails the call in time and is asked again by the next", async () => {
  const host = vi.fn(() => new Promise<string>(() => undefined));
  const tokens = new Tokens(host);
  for (const times of [1, 2]) {
    const asked = tokens.renewNow();
    const told = expect(asked).rejects.toMatchObject({ kind: "Offline", local: "TokenTimeout" });
    await vi.advanceTimersByTimeAsync(20_000);
    await told;
    expect(host).toHaveBeenCalledTimes(times);
  }
});

test.each(["", "with space", "가", "line\n", "x".repeat((12 << 10) + 1)])("rubbish is told as such: %j", async (rubbish) => {
  const told = { kind: "Unauthenticated", local: "TokenInvalid" };
  await expect(new Tokens(async () => rubbish).forCall()).rejects.toMatchObject(told);
});

test("a host that throws is told as such", async () => {
  const tokens = new Tokens(() => Promise.reject(new TypeError("on purpose")));
  await expect(tokens.forCall()).rejects.toMatchObject({ local: "TokenInvalid" });
});

test.each([-3e8, 0, 3e8])("a token is renewed before it ends, whatever the clocks say: %d s apart", async (apart) => {
  const host = vi.fn(async () => jwt("ann", Math.floor(seconds()) + apart, Math.floor(seconds()) + apart + 300));
  const tokens = new Tokens(host);
  const fresh = () => (host.mock.calls as unknown as [boolean][]).filter(([is]) => is).length;
  await tokens.renewNow();
  host.mockResolvedValueOnce(await tokens.forStream());
  expect(fresh()).toBe(1);
  const held = await tokens.forStream();
  host.mockResolvedValue(held);
  await vi.advanceTimersByTimeAsync(265_000);
  await tokens.forCall();
  expect(fresh(), "of five minutes the last tenth has not begun").toBe(1);
  await vi.advanceTimersByTimeAsync(10_000);
  await tokens.forCall();
  expect(fresh()).toBe(2);
});

test("somebody else's token makes no call in one's own name", async () => {
  let who = "ann";
  const tokens = new Tokens(async () => jwt(who, seconds(), seconds() + 300));
  tokens.isMine(await tokens.forStream());
  await tokens.forCall();
  who = "bob";
  await expect(tokens.forCall()).rejects.toMatchObject({ kind: "Conflict", local: "StoreOfAnother" });
});
