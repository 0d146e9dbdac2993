import type { PersonProcess } from "./person-process.js";
import type { Act } from "./record.js";
import { describeAct } from "./table.js";

/** One line for each act; in a terminal it counts what has been read while the act is played. */
export class Progress {
  readonly #out: NodeJS.WriteStream;
  readonly #lines: number;
  readonly #read = new Map<string, number>();

  /** `lines` is how many will be said in the whole story. */
  constructor(out: NodeJS.WriteStream, lines: number) {
    this.#out = out;
    this.#lines = lines;
    out.on("error", () => {}); // Who closes the terminal does not want a stack trace, but the files cleared away.
  }

  /** An act begins for these people. */
  begin(title: string, people: readonly PersonProcess[]): void {
    const show = (): void => {
      const read = Math.min(...people.map(({ name }) => this.#read.get(name) ?? 0));
      this.#replace(`  ${title} … everybody has read ${read} of ${this.#lines} lines`);
    };
    for (const person of people) {
      person.onRead = (lines) => {
        this.#read.set(person.name, lines);
        show();
      };
    }
    show();
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
