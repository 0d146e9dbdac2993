import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Act, DemoRecord, EpochChange, Line, PersonReport } from "../examples/demo/record.js";
import { report as page } from "../examples/demo/report.js";
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
      const acts = linesByAct(printed);
      expect(sum(acts)).toBe(lines);
      expect(rowsOf(printed)).toEqual([
        { name: "alice", read: lines, of: lines, last: "6" },
        { name: "bob", read: lines, of: lines, last: "6" },
        { name: "carol", read: sum(acts.slice(0, 5)), of: lines, last: "removed" },
        { name: "dave", read: sum(acts.slice(7)), of: lines, last: "6" },
        { name: "eve", read: sum(acts.slice(9)), of: lines, last: "6" },
      ]);
      expect(printed.match(/accepted in attempt \d/g)).toEqual(["accepted in attempt 1", "accepted in attempt 2"]);
      const [, , bob] = processesIn(printed);
      const kill = /process (\d+) was killed with (\d+) messages unacknowledged, and process (\d+) went on/.exec(
        printed,
      );
      expect(Number(kill?.[1])).toBe(processesIn(printed)[1]);
      expect(Number(kill?.[3])).not.toBe(bob);
      expect(printed).toMatch(/3\.0 MiB, crossed in 25 chunks; SHA-256 [0-9a-f]{16}… also for bob and carol\./);
      expect(printed).toMatch(/█{20} 25 of 25 chunks, 3\.0 MiB/);
      for (const name of ["carol", "dave", "eve"]) {
        expect(printed).toMatch(
          new RegExp(`gave ${name} 0 messages\\. Handed [1-9]\\d* all the same, ${name} could read 0\\.`),
        );
      }
      expect(code).toBe(0);
      expect(readdirSync(temporary)).toEqual([]);

      expect(printed).toContain(`A picture of it, for the browser: ${join(home, "demo-report.html")}`);
      const page = readFileSync(join(home, "demo-report.html"), "utf8");
      expect(page).toContain("Everything is as it must be");
      expect(page).toContain(`${lines} lines of the-light.txt`);
    },
    2 * MINUTES,
  );

  test(
    "plays a text and sends a file that somebody brings, however short, and keeps the files when asked",
    async () => {
      write("mine.txt", "\ufeffZwölf Boxkämpfer\r\n\r\n日本語 👩‍👩‍👧‍👦");
      const bytes = new Uint8Array([0, 255, 13, 10, 0]);
      write("<b>&.bin", bytes);
      const sha256 = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
      const { code, printed } = await demo(["mine.txt", "--keep", "--file", "<b>&.bin", "--report", "mine.html"]);
      expect(printed).toContain("Everything is as it must be.");
      expect(printed).toContain(`<b>&.bin, 0.0 MiB, crossed in 1 chunk; SHA-256 ${sha256}… also for bob and carol.`);
      expect(code).toBe(0);
      const [folder] = readdirSync(temporary);
      const kept = join(temporary, folder!);
      for (const name of ["alice", "bob", "carol", "dave", "eve"]) {
        const keystore = join(kept, `${name}.keystore`);
        expect(statSync(keystore).mode & 0o777).toBe(0o600);
        expect(readFileSync(keystore).includes("SQLite format")).toBe(false);
        expect(readFileSync(join(kept, `${name}.messages`)).includes("Boxkämpfer")).toBe(false);
      }
      expect(readFileSync(join(home, "mine.html"), "utf8")).toContain("&lt;b&gt;&amp;.bin");
    },
    2 * MINUTES,
  );

  test.each<[string, string[], RegExp]>([
    ["a file that is not there", ["nowhere.txt"], /nowhere\.txt' cannot be read: there is no such file/],
    ["a folder", ["."], /is no file/],
    ["an empty file", ["empty.txt"], /is empty/],
    ["a file with nothing but white space", ["blank.txt"], /is empty/],
    ["a binary file", ["binary.txt"], /is no text/],
    ["a text that is not UTF-8", ["latin1.txt"], /is no text in UTF-8/],
    ["a text that is too large", ["large.txt"], /larger than 4 MiB/],
    ["too many lines", ["lines.txt"], /has 10001 lines/],
    ["two texts", ["lines.txt", "lines.txt"], /one text, not 2[^]*Usage:/],
    ["to send a file that is not there", ["--file", "nowhere.bin"], /nowhere\.bin' cannot be read/],
    ["to send a folder", ["--file", "."], /is no file/],
    ["to send an empty file", ["--file", "empty.txt"], /is empty/],
    ["to send a file that is too large", ["--file", "huge.bin"], /larger than 32 MiB/],
    ["a report in a folder that is not there", ["--report", "nowhere/r.html"], /nowhere' cannot be written to/],
    ["a report in place of a folder", ["--report", "."], /is no file that can be written/],
    ["an option that it does not know", ["--quick"], /--quick[^]*Usage:/],
    ["a question", ["--help"], /^Usage:/],
  ])("refuses %s in a sentence", async (_what, args, sentence) => {
    write("empty.txt", "");
    write("blank.txt", " \r\n\t\n");
    write("binary.txt", new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 0]));
    write("latin1.txt", Buffer.from("Zwölf", "latin1"));
    write("large.txt", "x".repeat(4 * 1024 * 1024 + 1));
    write("lines.txt", "line\n".repeat(10_001));
    truncateSync(write("huge.bin", ""), 32 * 1024 * 1024 + 1);
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
      expect(processes).toHaveLength(6);
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
    ["the server has a line twice", /1 messages are there more than once/, ({ order }) => order.push("one")],
    ["the server has a line of nobody", /1 messages were sent by nobody/, ({ order }) => order.push("nine")],
    ["nothing was said", /nothing was said/, ({ acts }) => acts.forEach((act) => (act.said = []))],
    ["somebody missed a line", /bob has 7 lines instead of 8/, (record) => list("bob", record).pop()],
    ["somebody has a line twice", /bob has 9 lines/, (record) => list("bob", record).push(EIGHT)],
    ["somebody has another order", /bob's line 1 is not/, (record) => list("bob", record).reverse()],
    ["a line was changed", /bob's line 2 is not/, (record) => (list("bob", record)[1] = { ...TWO, text: "no" })],
    ["a line has another speaker", /bob's line 2 is not/, (record) => (list("bob", record)[1] = { ...TWO, by: "bob" })],
    ["members are in two epochs", /in 2 epochs/, ({ acts }) => (acts[0]!.standings[1]!.epoch = 2n)],
    ["an authenticator differs", /bob's authenticator/, ({ acts }) => (acts[0]!.standings[1]!.authenticator = "b")],
    ["an authenticator stays", /same authenticator/, ({ acts }) => keepAuthenticator(acts)],
    ["there was one commit", /not two commits/, ({ conflict }) => conflict.pop()],
    ["the commits did not meet", /the epochs 1 and 2/, ({ conflict }) => (conflict[1]!.madeFor = 2n)],
    ["nobody was told to retry", /not told to retry/, ({ conflict }) => (conflict[1]!.attempts = 1)],
    ["both were told to retry", /needed 2 attempts/, ({ conflict }) => (conflict[0]!.attempts = 2)],
    [
      "a change got lost",
      /carol, epoch 3 does not have new keys of bob/,
      (record) => (began(3n, "carol", record).updated = []),
    ],
    ["bob was not killed", /first process ended with code 0/, ({ exits }) => (exits.bob = ["code 0"])],
    ["bob did not go on", /bob: signal SIGKILL/, ({ exits }) => exits.bob!.pop()],
    ["bob never died", /in the same process/, ({ kill }) => (kill.processes[1] = kill.processes[0])],
    ["bob was killed before he began", /is not among those that were said/, ({ kill }) => (kill.unanswered = "one")],
    ["bob was killed at his last word", /bob had nothing left/, ({ kill }) => (kill.unanswered = "four")],
    ["bob was killed when the others were silent", /the others had nothing left/, ({ acts }) => acts[2]!.said.pop()],
    ["bob was killed when nothing arrived", /nothing was on its way/, ({ kill }) => (kill.unacknowledged = 0)],
    ["bob's last line was lost with him", /on bob's list 0 times/, (record) => list("bob", record).splice(2, 1)],
    ["bob sent his last line twice", /on bob's list 2 times/, (record) => list("bob", record).push(THREE)],
    ["nothing came again", /nothing came to bob again/, (record) => (reportOf("bob", record).repeats = 0)],
    ["all came twice", /7 lines were delivered to bob twice/, (record) => (reportOf("bob", record).again = 7)],
    ["the file came in one piece", /not sent in chunks/, ({ file }) => (file.messageIds = ["chunk 0"])],
    ["a chunk got lost", /1 chunks are missing/, ({ order }) => order.splice(order.indexOf("chunk 1"), 1)],
    ["nobody got the file", /nobody received it/, ({ file }) => (file.received = [])],
    ["the file is another one", /bob has a file of another name/, ({ file }) => (file.received[0]!.name = "x")],
    ["the file is cut off", /bob has 7 bytes of 8/, ({ file }) => (file.received[0]!.bytes = 7)],
    ["the file was changed", /what bob has, has another SHA-256/, ({ file }) => (file.received[0]!.sha256 = "no")],
    ["nobody was removed", /the removed are: nobody/, (record) => (began(4n, "alice", record).removed = [])],
    ["carol was served", /gave carol 1 messages/, ({ afterRemoval }) => (afterRemoval.fetched = 1)],
    ["carol could read", /the result was: message/, ({ afterRemoval }) => (afterRemoval.results[0] = "message")],
    ["carol was not even tempted", /handed 2 of 3/, ({ afterRemoval }) => afterRemoval.results.pop()],
    ["carol read on", /carol has 6 lines/, (record) => list("carol", record).push(SIX)],
    ["carol could write", /result was: encrypted/, ({ afterRemoval }) => (afterRemoval.writing = "encrypted")],
    ["dave was invited", /dave came by: welcome/, (record) => (began(5n, "dave", record).cause = "welcome")],
    ["eve was not", /eve came by: external/, (record) => (began(6n, "eve", record).cause = "external")],
    ["eve was there before dave", /came in epoch 5, and not after/, (record) => (began(6n, "eve", record).epoch = 5n)],
    ["dave's coming was not seen", /bob, epoch 5 added: nobody/, (record) => (began(5n, "bob", record).added = [])],
    [
      "dave heard nothing",
      /nothing was said after dave/,
      ({ acts }) => acts.slice(6).forEach((act) => (act.said = [])),
    ],
    ["dave was served", /gave dave 1 messages from before/, ({ beforeJoining }) => (beforeJoining[0]!.fetched = 1)],
    [
      "eve could read what was before",
      /result was: message/,
      ({ beforeJoining }) => (beforeJoining[1]!.results[3] = "message"),
    ],
    ["dave was not even tempted", /handed 8 of 9/, ({ beforeJoining }) => beforeJoining[0]!.results.pop()],
    ["eve never came", /1 people came later/, ({ beforeJoining }) => beforeJoining.pop()],
    ["eve has a line from before", /eve has 2 lines/, (record) => list("eve", record).unshift(SEVEN)],
    [
      "a message was rejected",
      /alice: rejected/,
      (record) => reportOf("alice", record).trouble.push("rejected: MESSAGE_INVALID"),
    ],
    ["a message was delivered twice", /alice got 1 lines twice/, (record) => (reportOf("alice", record).again = 1)],
    ["a file can be read", /has 7 lines that everybody can/, ({ files }) => (files[0]!.readableLines = 7)],
    ["a process crashed", /carol: signal SIGSEGV/, ({ exits }) => (exits.carol = ["signal SIGSEGV"])],
    ["a second process was killed", /alice had 2 processes/, ({ exits }) => exits.alice!.unshift("signal SIGKILL")],
  ])("is bad when %s", (_what, complaint, spoil) => {
    const record = asItMustBe();
    spoil(record);
    const checks = verdict(record);
    expect(checks.flatMap(({ complaints }) => complaints).join("\n")).toMatch(complaint);
    expect(exitCode(checks)).toBe(1);
    expect(summary(record, checks)).toMatch(new RegExp(`FAILED[^]*${complaint.source}`));
  });
});

describe("the report", () => {
  test("shows who was in when, what each read, and everything that happened", () => {
    const record = asItMustBe();
    const html = page(record, verdict(record), "a.txt");
    expect(html).toContain("8 lines of a.txt");
    for (const epoch of [1, 3, 4, 5, 6]) expect(html).toMatch(new RegExp(`>(epoch )?${epoch}</text>`));
    for (const { title } of record.acts) for (const word of title.split(" ")) expect(html).toContain(word);
    const [alice, bob, carol, dave, eve] = ["alice", "bob", "carol", "dave", "eve"].map((name) => rowIn(html, name));
    expect(alice).toContain("founded it");
    expect(alice).toContain("sent 0.0 MiB");
    expect(bob).toContain("new keys, retried");
    expect(bob).toContain("killed, 0.5 s away");
    expect(bob).toMatch(/>3 read<.*>2 said<.*>killed/);
    expect(carol).toContain("SHA-256 equal");
    expect(carol).toContain("later messages: 3 handed over, 0 read");
    expect(dave).toContain("external commit");
    expect(dave).toContain("earlier messages: 9 handed over, 0 read");
    expect(eve).toContain("by Welcome");
    expect(eve).toMatch(/>1 read<.*>1 said</);
  });

  test("loads nothing, runs nothing, and shows no line of the text", () => {
    const record = asItMustBe();
    const html = page(record, verdict(record), "<script>.txt");
    expect(html).not.toMatch(/https?:|<script|<link|<img|src=|url\(|@import/);
    expect(html).toContain("&lt;script&gt;.txt");
    for (const { text } of ALL) expect(html).not.toContain(text);
  });

  test("says what was not as it must be", () => {
    const record = asItMustBe();
    record.file.received[0]!.sha256 = "no";
    const html = page(record, verdict(record), "a.txt");
    expect(html).toContain("Not everything is as it must be");
    expect(html).toContain("what bob has, has another SHA-256");
    expect(rowIn(html, "bob")).toContain("SHA-256 differs");
  });
});

const line = (messageId: string, by: string, text: string): Line => ({ messageId, by, text });
const ONE = line("one", "alice", "Are you there?");
const TWO = line("two", "carol", "I am.");
const THREE = line("three", "bob", "So am I, and");
const FOUR = line("four", "bob", "I was away for a moment.");
const FIVE = line("five", "alice", "We went on.");
const SIX = line("six", "alice", "She is gone.");
const SEVEN = line("seven", "dave", "I let myself in.");
const EIGHT = line("eight", "eve", "He has let me in.");
const ALL = [ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN, EIGHT];

/** A short demo in which everything went well. */
function asItMustBe(): Writable<DemoRecord> {
  const act = (title: string, said: Line[], epoch: bigint, ...names: string[]): Writable<Act> => ({
    title,
    seconds: 1,
    said,
    standings: names.map((name) => ({ name, epoch, authenticator: String(epoch) })),
  });
  const three = ["alice", "bob", "carol"];
  const removal = act("carol is removed", [], 4n, "alice", "bob");
  removal.standings.push({ name: "carol", epoch: 4n, authenticator: undefined });

  const change = (epoch: bigint, parts: Partial<EpochChange>): EpochChange => ({
    ...{ epoch, cause: "member", added: [], removed: [], updated: [] },
    ...parts,
  });
  const changes = (name: string): Writable<EpochChange[]> => {
    const came = { dave: 5n, eve: 6n }[name] ?? 1n;
    const cause = ({ alice: "created", dave: "external" } as const)[name] ?? "welcome";
    return [
      change(1n, { added: three }),
      change(2n, { updated: ["carol"] }),
      change(3n, { updated: ["bob"] }),
      change(4n, { removed: ["carol"], updated: ["alice"] }),
      change(5n, { added: ["dave"] }),
      change(6n, { added: ["eve"], updated: ["dave"] }),
    ]
      .filter(({ epoch }) => epoch >= came && !(name === "carol" && epoch > 4n))
      .map((one) => ({ ...one, cause: one.epoch === came ? cause : one.cause })) as Writable<EpochChange[]>;
  };
  const report = (name: string, lines: Line[]) => ({
    ...{ name, process: 1, list: [...lines], again: 0, repeats: name === "bob" ? 2 : 0 },
    ...{ trouble: [] as string[], changes: changes(name), retries: name === "bob" ? 1 : 0 },
  });
  const file = { name: "a.bin", bytes: 8, sha256: "abc" };
  return {
    acts: [
      act("they speak", [ONE], 1n, ...three),
      act("they change the group", [TWO], 3n, ...three),
      act("bob is killed", [THREE, FOUR, FIVE], 3n, ...three),
      act("alice sends a file", [], 3n, ...three),
      removal,
      act("two go on", [SIX], 4n, "alice", "bob"),
      act("dave joins and speaks", [SEVEN], 5n, "alice", "bob", "dave"),
      act("eve is invited and speaks", [EIGHT], 6n, "alice", "bob", "dave", "eve"),
    ],
    conflict: [
      { by: "carol", madeFor: 1n, epoch: 2n, attempts: 1 },
      { by: "bob", madeFor: 1n, epoch: 3n, attempts: 2 },
    ],
    kill: {
      name: "bob",
      act: "bob is killed",
      unanswered: "three",
      unacknowledged: 4,
      processes: [7, 8],
      secondsAway: 0.5,
    },
    file: {
      ...file,
      by: "alice",
      act: "alice sends a file",
      messageIds: ["what it is", "chunk 0", "chunk 1"],
      received: [
        { by: "bob", ...file },
        { by: "carol", ...file },
      ],
    },
    order: ["one", "two", "three", "four", "five", "what it is", "chunk 0", "chunk 1", "six", "seven", "eight"],
    reports: [
      report("alice", ALL),
      report("bob", ALL),
      report("carol", [ONE, TWO, THREE, FOUR, FIVE]),
      report("dave", [SEVEN, EIGHT]),
      report("eve", [EIGHT]),
    ],
    beforeJoining: [
      { name: "dave", fetched: 0, results: Array<string>(9).fill("unreadable: epoch-too-old") },
      { name: "eve", fetched: 0, results: Array<string>(10).fill("unreadable: epoch-too-old") },
    ],
    afterRemoval: {
      name: "carol",
      fetched: 0,
      results: ["unreadable: removed", "waiting for a welcome", "waiting for a welcome"],
      writing: "CONVERSATION_INACTIVE",
    },
    exits: {
      alice: ["code 0"],
      bob: ["signal SIGKILL", "code 0"],
      carol: ["code 0"],
      dave: ["code 0"],
      eve: ["code 0"],
    },
    files: [{ name: "alice.keystore", bytes: 4096, readableLines: 0 }],
  };
}

function reportOf(name: string, { reports }: Writable<DemoRecord>): Writable<PersonReport> {
  return reports.find((report) => report.name === name)!;
}

function list(name: string, record: Writable<DemoRecord>): Writable<Line[]> {
  return reportOf(name, record).list;
}

function began(epoch: bigint, name: string, record: Writable<DemoRecord>): Writable<EpochChange> {
  return reportOf(name, record).changes.find((change) => change.epoch === epoch)!;
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
  const row = /^ {2}(alice|bob|carol|dave|eve) +\d+ +\d+ +(\d+) of (\d+) +(\w+) .*KiB$/gm;
  return [...printed.matchAll(row)].map(([, name, read, of, last]) => ({
    name,
    read: Number(read),
    of: Number(of),
    last,
  }));
}

/** How many lines were said in each act. */
function linesByAct(printed: string): number[] {
  return [...printed.matchAll(/^ {2}.*epoch \d+ +(?:(\d+) lines)? +[\d.]+ s$/gm)].map(([, lines]) =>
    Number(lines ?? 0),
  );
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** What the picture shows of one person. */
function rowIn(html: string, name: string): string {
  return new RegExp(`<g class="person ${name}">.*`).exec(html)?.[0] ?? "";
}

/** The process ids of the five, and of the delivery service. */
function processesIn(printed: string): number[] {
  const line = /^Processes: (.*)$/m.exec(printed)?.[1] ?? "";
  return [...line.matchAll(/\d+/g)].map(([id]) => Number(id));
}
