import { chunksOf } from "./file-chunks.js";
import type { PersonProcess } from "./person-process.js";
import type { Act, FileDigest } from "./record.js";
import { describeAct, inMebibytes } from "./table.js";

/** One line for each act; in a terminal it counts what has been read while the act is played. */
export class Progress {
  readonly #out: NodeJS.WriteStream;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    out.on("error", () => {}); // Who closes the terminal does not want a stack trace, but the files cleared away.
  }

  /** An act begins for these people. */
  begin(title: string, people: readonly PersonProcess[]): void {
    const read = new Map<string, number>();
    const show = (): void => {
      const counts = [...read].map(([name, lines]) => `, ${name} ${lines}`).join("");
      this.#replace(`  ${title} … lines read${counts === "" ? ": none yet" : counts.replace(",", ":")}`);
    };
    for (const person of people) {
      person.onRead = ({ lines }) => {
        read.set(person.name, lines);
        show();
      };
    }
    show();
  }

  /** In this act a file arrives, at these people. Without a terminal, each quarter of it is a line. */
  expectFile({ name, bytes }: FileDigest, readers: readonly PersonProcess[]): void {
    const all = chunksOf(bytes);
    const arrived = new Map(readers.map((reader) => [reader.name, 0]));
    let quarters = 0;
    for (const reader of readers) {
      reader.onRead = ({ chunks }) => {
        arrived.set(reader.name, chunks);
        const everywhere = Math.min(...arrived.values());
        const part = everywhere / all;
        const line = `  ${name} … ${bar(part)} ${everywhere} of ${all} chunks, ${inMebibytes(bytes * part)}`;
        this.#replace(line);
        if (Math.floor(part * 4) > quarters && !this.#out.isTTY) console.log(line);
        quarters = Math.floor(part * 4);
      };
    }
  }

  /** The act is over. */
  end(act: Act): void {
    this.#replace("");
    console.log(describeAct(act));
  }

  #replace(line: string): void {
    if (!this.#out.isTTY) return;
    this.#out.cursorTo(0);
    this.#out.clearLine(0);
    this.#out.write(line.slice(0, (this.#out.columns || 80) - 1));
  }
}

function bar(part: number): string {
  const WIDTH = 20;
  const full = Math.round(part * WIDTH);
  return "█".repeat(full) + "░".repeat(WIDTH - full);
}
