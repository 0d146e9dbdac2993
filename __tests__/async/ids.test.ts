/** Ids as text: what nobody sees is shown as hex, the same in JavaScript and in the core, and goes back and forth. */
import { Database, inspectMessage, MlsError, Session } from "conclave-mls";
import { messageIn } from "../delivery-service/framed.js";

let session: Session;
beforeAll(async () => {
  session = await Session.open(await Database.inMemory(), { clientId: "alice" });
});
afterAll(() => session.close());

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const hexOf = (text: string): string => `0x${Buffer.from(text).toString("hex")}`;
/** As lib/id.ts shows it. */
const here = (id: string | Uint8Array): string => session.conversation(id).id;
/** As the core shows it. */
const inTheCore = (id: Uint8Array): string => inspectMessage(messageIn(id, 0n)).conversationId!;

/** What Unicode says, as this Node knows it; the last change to these categories was in Unicode 15. */
const isHidden = (text: string): boolean => /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text);

it("every code point is text, or hex, on both sides", () => {
  const hidden: string[] = [];
  let run = "";
  const judgeRun = (): void => {
    if (run === "") return;
    expect([here(utf8(run)), inTheCore(utf8(run)), here(run)]).toEqual([run, run, run]);
    run = "";
  };
  for (let code = 0; code <= 0x10ffff; code++) {
    if (code >= 0xd800 && code <= 0xdfff) continue; // No characters: UTF-8 cannot have them.
    const one = String.fromCodePoint(code);
    if (isHidden(one)) hidden.push(one);
    else run += one;
    if (run.length >= 1000) judgeRun();
  }
  judgeRun();
  expect(hidden).toHaveLength(237);
  for (const one of hidden) {
    for (const name of [one, `a${one}`, `${one}b`]) {
      const hex = hexOf(name);
      expect([here(utf8(name)), inTheCore(utf8(name)), here(hex)]).toEqual([hex, hex, hex]);
      expect(() => here(name)).toThrow(MlsError);
    }
  }
});

it.each([
  ["a C1 control", "a\u009b31m"],
  ["text that is turned round", "alice\u202egnp.exe"],
  ["an isolate", "\u2066alice\u2069"],
  ["a byte order mark", "\ufeffalice"],
  ["a zero-width space", "ali\u200bce"],
  ["a soft hyphen", "ali\u00adce"],
  ["a line separator", "alice\u2028bob"],
  ["a tag", "alice\u{e0041}"],
])("%s in a string is refused with what to do, and as bytes it is a name", (_, name) => {
  const refused = (() => {
    try {
      return here(name);
    } catch (error) {
      return error;
    }
  })();
  expect(refused).toMatchObject({ code: "INVALID_ARGUMENT" });
  expect((refused as MlsError).message).toMatch(/Take them out.*Uint8Array/);
  expect(here(utf8(name))).toBe(hexOf(name));
});

it.each(["Zoë", "日本語", "🙂", "a b", "a\u00a0b", "e\u0301", "Ωmega-1_2:3/4"])("%s is shown as it is", (name) => {
  expect([here(name), here(utf8(name)), inTheCore(utf8(name))]).toEqual([name, name, name]);
});
