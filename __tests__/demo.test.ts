import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DemoRecord, Line } from "../examples/demo/record.js";
import { summary } from "../examples/demo/table.js";
import { exitCode, verdict } from "../examples/demo/verdict.js";

const checkout = join(__dirname, "..");
const MINUTES = 60_000;

describe("the demo", () => {
  let home: string;
  let temporary: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), "conclave-demo-test-"));
    temporary = mkdtempSync(join(home, "tmp-"));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  const write = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(home, name), content);
    return join(home, name);
  };

  /** Runs it as `npm run demo` does; `onOutput` sees everything that was printed so far, and the process. */
  function demo(args: string[], onOutput: (printed: string, pid: number) => void = () => {}): Promise<Ending> {
    const env = { ...process.env, TMPDIR: temporary, TEMP: temporary, TMP: temporary, INIT_CWD: home };
    const child = spawn(process.execPath, ["dist/programs/examples/demo/main.js", ...args], { cwd: checkout, env });
    let printed = "";
    const take = (text: string): void => {
      printed += text;
      if (child.pid !== undefined) onOutput(printed, child.pid);
    };
    child.stdout.setEncoding("utf8").on("data", take);
    child.stderr.setEncoding("utf8").on("data", take);
    return new Promise((resolve) => child.on("close", (code) => resolve({ code, printed })));
  }

  test(
    "plays the text that ships with it, and everything is as it must be",
    async () => {
      const { code, printed } = await demo([]);
      expect(printed).toContain("Everything is as it must be.");
      expect(printed).not.toContain("FAILED");
      const lines = readFileSync(join(checkout, "examples/texts/the-light.txt"), "utf8").trimEnd().split("\n").length;
      expect(rowsOf(printed)).toEqual([
        { name: "alice", read: lines, of: lines, last: "4" },
        { name: "bob", read: lines, of: lines, last: "4" },
        { name: "carol", read: 2 * Math.ceil(lines / 3), of: lines, last: "removed" },
      ]);
      expect(printed.match(/accepted in attempt \d/g)?.sort()).toEqual([
        "accepted in attempt 1",
        "accepted in attempt 2",
      ]);
      expect(printed).toMatch(/gave carol 0 messages\. Handed [1-9]\d* all the same, carol could read 0\./);
      expect(code).toBe(0);
      expect(readdirSync(temporary)).toEqual([]);
    },
    2 * MINUTES,
  );

  test(
    "plays a text that somebody brings, however short, and keeps the files when asked",
    async () => {
      write("mine.txt", "\ufeffZwölf Boxkämpfer\r\n\r\n日本語 👩‍👩‍👧‍👦");
      const { code, printed } = await demo(["mine.txt", "--keep"]);
      expect(printed).toContain("Everything is as it must be.");
      expect(code).toBe(0);
      const [folder] = readdirSync(temporary);
      const keystores = ["alice", "bob", "carol"].map((name) => join(temporary, folder!, `${name}.keystore`));
      for (const keystore of keystores) {
        expect(statSync(keystore).mode & 0o777).toBe(0o600);
        expect(readFileSync(keystore).includes("SQLite format")).toBe(false);
      }
    },
    2 * MINUTES,
  );

  test.each<[string, string[], RegExp]>([
    ["a file that is not there", ["nowhere.txt"], /nowhere\.txt' cannot be read: there is no such file\./],
    ["a folder", ["."], /is no file/],
    ["an empty file", ["empty.txt"], /is empty/],
    ["a file with nothing but white space", ["blank.txt"], /is empty/],
    ["a binary file", ["binary.txt"], /is no text/],
    ["a text that is not UTF-8", ["latin1.txt"], /is no text in UTF-8/],
    ["a text that is too large", ["large.txt"], /larger than 4 MiB/],
    ["too many lines", ["lines.txt"], /has 10001 lines/],
    ["two texts", ["lines.txt", "lines.txt"], /one text, not 2[^]*Usage:/],
    ["an option that it does not know", ["--quick"], /--quick[^]*Usage:/],
    ["a question", ["--help"], /^Usage:/],
  ])("refuses %s in a sentence", async (_what, args, sentence) => {
    write("empty.txt", "");
    write("blank.txt", " \r\n\t\n");
    write("binary.txt", new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 0]));
    write("latin1.txt", Buffer.from("Zwölf", "latin1"));
    write("large.txt", "x".repeat(4 * 1024 * 1024 + 1));
    write("lines.txt", "line\n".repeat(10_001));
    const { code, printed } = await demo(args);
    expect(printed).toMatch(sentence);
    expect(printed).not.toMatch(/^\s+at /m);
    expect(code).toBe(2);
    expect(readdirSync(temporary)).toEqual([]);
  });

  describe("when it is under way", () => {
    const speaking = /they speak in turns.* s\n/;
    const long = (): string => write("long.txt", "And so on, and so on.\n".repeat(2000));

    test(
      "fails when somebody's process dies, and leaves nothing behind",
      async () => {
        let killed = false;
        const { code, printed } = await demo([long()], (soFar) => {
          const [, bob] = processesIn(soFar);
          if (killed || bob === undefined) return;
          killed = process.kill(bob, "SIGKILL");
        });
        expect(printed).toContain("bob's process ended too early: signal SIGKILL");
        expect(code).toBe(1);
        expectNothingLeft(printed);
      },
      2 * MINUTES,
    );

    test(
      "ends at Ctrl-C, and leaves nothing behind",
      async () => {
        let interrupted = false;
        const { code, printed } = await demo([long()], (soFar, pid) => {
          if (interrupted || !soFar.includes("alice creates")) return;
          interrupted = process.kill(pid, "SIGINT");
        });
        expect(printed).toContain("Interrupted by SIGINT.");
        expect(printed).not.toMatch(speaking);
        expect(code).toBe(130);
        expectNothingLeft(printed);
      },
      2 * MINUTES,
    );

    function expectNothingLeft(printed: string): void {
      const processes = processesIn(printed);
      expect(processes).toHaveLength(4);
      for (const pid of processes) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
      expect(readdirSync(temporary)).toEqual([]);
    }
  });
});

describe("the verdict", () => {
  test("is good for what must be", () => {
    const checks = verdict(asItMustBe());
    expect(checks.filter(({ complaints }) => complaints.length > 0)).toEqual([]);
    expect(exitCode(checks)).toBe(0);
  });

  test.each<[string, RegExp, (record: Writable<DemoRecord>) => void]>([
    ["a line got lost on the way to the server", /1 lines are missing/, ({ order }) => order.pop()],
    ["the server has a line twice", /1 lines are there more than once/, ({ order }) => order.push("one")],
    ["the server has a line of nobody", /1 lines were said by nobody/, ({ order }) => order.push("four")],
    ["nothing was said", /nothing was said/, ({ acts }) => acts.forEach((act) => (act.said = []))],
    ["somebody missed a line", /bob has 2 lines instead of 3/, ({ reports }) => reports[1]!.list.pop()],
    ["somebody has a line twice", /bob has 4 lines/, ({ reports }) => reports[1]!.list.push(THREE)],
    ["somebody has another order", /bob's line 1 is not/, ({ reports }) => reports[1]!.list.reverse()],
    ["a line was changed", /bob's line 2 is not/, ({ reports }) => (reports[1]!.list[1] = { ...TWO, text: "no" })],
    [
      "a line has another speaker",
      /bob's line 2 is not/,
      ({ reports }) => (reports[1]!.list[1] = { ...TWO, by: "bob" }),
    ],
    ["members are in two epochs", /in 2 epochs/, ({ acts }) => (acts[0]!.standings[1]!.epoch = 2n)],
    ["an authenticator differs", /bob's authenticator/, ({ acts }) => (acts[0]!.standings[1]!.authenticator = "b")],
    ["an authenticator stays", /same authenticator/, ({ acts }) => keepAuthenticator(acts)],
    ["there was one commit", /not two commits/, ({ conflict }) => conflict.pop()],
    ["the commits did not meet", /the epochs 1 and 2/, ({ conflict }) => (conflict[1]!.madeFor = 2n)],
    ["nobody was told to retry", /not told to retry/, ({ conflict }) => (conflict[1]!.attempts = 1)],
    ["both were told to retry", /needed 2 attempts/, ({ conflict }) => (conflict[0]!.attempts = 2)],
    ["a change got lost", /not have new keys of bob/, ({ reports }) => (reports[2]!.changes[2]!.updated = [])],
    ["nobody was removed", /the removed are: nobody/, ({ reports }) => (reports[0]!.changes[3]!.removed = [])],
    ["carol was served", /gave carol 1 messages/, ({ afterRemoval }) => (afterRemoval.fetched = 1)],
    ["carol could read", /the result was: message/, ({ afterRemoval }) => (afterRemoval.results = ["message"])],
    ["carol was not even tempted", /handed 0 of 1/, ({ afterRemoval }) => afterRemoval.results.pop()],
    ["carol read on", /carol has 3 lines/, ({ reports }) => reports[2]!.list.push(THREE)],
    ["carol could write", /result was: encrypted/, ({ afterRemoval }) => (afterRemoval.writing = "encrypted")],
    [
      "a message was rejected",
      /alice: rejected/,
      ({ reports }) => reports[0]!.trouble.push("rejected: MESSAGE_INVALID"),
    ],
    ["a message was delivered twice", /alice got 1 lines twice/, ({ reports }) => (reports[0]!.again = 1)],
    ["a file can be read", /has 7 lines that everybody can/, ({ files }) => (files[0]!.readableLines = 7)],
    ["a process crashed", /carol: signal SIGSEGV/, ({ exits }) => (exits.carol = "signal SIGSEGV")],
  ])("is bad when %s", (_what, complaint, spoil) => {
    const record = asItMustBe();
    spoil(record);
    const checks = verdict(record);
    expect(checks.flatMap(({ complaints }) => complaints).join("\n")).toMatch(complaint);
    expect(exitCode(checks)).toBe(1);
    expect(summary(record, checks)).toMatch(new RegExp(`FAILED[^]*${complaint.source}`));
  });
});

const ONE: Line = { messageId: "one", by: "alice", text: "Are you there?" };
const TWO: Line = { messageId: "two", by: "carol", text: "I am." };
const THREE: Line = { messageId: "three", by: "alice", text: "She is gone." };

/** A short demo in which everything went well. */
function asItMustBe(): Writable<DemoRecord> {
  const inEpoch = (epoch: bigint, authenticator: string | undefined, ...names: string[]) =>
    names.map((name) => ({ name, epoch, authenticator }));
  const act = (title: string, said: Line[], standings: ReturnType<typeof inEpoch>) => ({
    title,
    seconds: 1,
    said,
    standings,
  });
  const gone = { name: "carol", epoch: 4n, authenticator: undefined };
  const changes = () => [
    { epoch: 1n, added: ["alice", "bob", "carol"], removed: [], updated: [] },
    { epoch: 2n, added: [], removed: [], updated: ["carol"] },
    { epoch: 3n, added: [], removed: [], updated: ["bob"] },
    { epoch: 4n, added: [], removed: ["carol"], updated: ["alice"] },
  ];
  const report = (name: string, list: Line[]) => ({
    name,
    process: 1,
    list,
    again: 0,
    trouble: [],
    changes: changes(),
    retries: 0,
  });
  return {
    acts: [
      act("they speak", [ONE], inEpoch(1n, "a", "alice", "bob", "carol")),
      act("they change the group", [TWO], inEpoch(3n, "c", "alice", "bob", "carol")),
      act("carol is removed", [], [...inEpoch(4n, "d", "alice", "bob"), gone]),
      act("they go on", [THREE], inEpoch(4n, "d", "alice", "bob")),
    ],
    conflict: [
      { by: "carol", madeFor: 1n, epoch: 2n, attempts: 1 },
      { by: "bob", madeFor: 1n, epoch: 3n, attempts: 2 },
    ],
    order: ["one", "two", "three"],
    reports: [report("alice", [ONE, TWO, THREE]), report("bob", [ONE, TWO, THREE]), report("carol", [ONE, TWO])],
    afterRemoval: { name: "carol", fetched: 0, results: ["unreadable: removed"], writing: "CONVERSATION_INACTIVE" },
    exits: { alice: "code 0", bob: "code 0", carol: "code 0" },
    files: [{ name: "alice.keystore", bytes: 4096, readableLines: 0 }],
  };
}

function keepAuthenticator(acts: Writable<DemoRecord["acts"]>): void {
  for (const { standings } of acts)
    for (const standing of standings) if (standing.authenticator) standing.authenticator = "a";
}

type Writable<T> = T extends object ? { -readonly [K in keyof T]: Writable<T[K]> } : T;

interface Ending {
  readonly code: number | null;
  readonly printed: string;
}

/** The rows of the table, one for each person. */
function rowsOf(printed: string) {
  const row = /^ {2}(alice|bob|carol) +\d+ +\d+ +(\d+) of (\d+) +(\w+) .*KiB$/gm;
  return [...printed.matchAll(row)].map(([, name, read, of, last]) => ({
    name,
    read: Number(read),
    of: Number(of),
    last,
  }));
}

/** The process ids of the three, and of the delivery service. */
function processesIn(printed: string): number[] {
  const line = /^Processes: (.*)$/m.exec(printed)?.[1] ?? "";
  return [...line.matchAll(/\d+/g)].map(([id]) => Number(id));
}
