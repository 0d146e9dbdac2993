import type { EpochChange } from "./record.js";
import type { Store } from "./store.js";

/** What a person notes on the way, to tell it in the end. It is in the store, because the process may be killed. */
export class Diary {
  readonly #write;
  readonly #count;
  readonly #read;
  readonly #enter;
  readonly #entered;
  #repeats = 0;

  constructor(store: Store) {
    this.#write = store.prepare<[string, string]>("INSERT INTO notes VALUES (?, ?)");
    this.#count = store.prepare<[string], number>("SELECT count(*) FROM notes WHERE kind = ?").pluck();
    this.#read = store.prepare<[string], string>("SELECT what FROM notes WHERE kind = ? ORDER BY rowid").pluck();
    this.#enter = store.prepare<[bigint, string]>("INSERT OR IGNORE INTO epochs VALUES (?, ?)");
    this.#entered = store.prepare<[], string>("SELECT change FROM epochs ORDER BY epoch").pluck();
  }

  /**
   * Something worth counting: a message that was delivered "again" although the list had it, "trouble" that honest people do not
   * meet with, or a commit that was told to "retry".
   */
  note(kind: "again" | "trouble" | "retry", what = ""): void {
    this.#write.run(kind, what);
  }

  /** A message came once more and was recognised. Counted for this process only: after a kill it is what came because of that. */
  noteRepeat(): void {
    this.#repeats += 1;
  }

  /** An epoch began. */
  enter({ epoch, ...change }: EpochChange): void {
    this.#enter.run(epoch, JSON.stringify({ epoch: String(epoch), ...change }));
  }

  /** All epochs that this person went through, the oldest first. */
  epochs(): EpochChange[] {
    return this.#entered.all().map((json) => {
      const change = JSON.parse(json) as Omit<EpochChange, "epoch"> & { epoch: string };
      return { ...change, epoch: BigInt(change.epoch) };
    });
  }

  /** Everything that was noted. */
  notes() {
    const count = (kind: string): number => this.#count.get(kind) ?? 0;
    return {
      again: count("again"),
      repeats: this.#repeats,
      retries: count("retry"),
      trouble: this.#read.all("trouble"),
    };
  }
}
