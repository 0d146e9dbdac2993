/** Lets somebody wait until something holds, by looking whenever something has happened. */
export class Conditions {
  readonly #waiting = new Set<() => void>();

  /** Something happened: everybody looks again. */
  somethingHappened(): void {
    for (const look of this.#waiting) look();
  }

  /** Resolves as soon as this holds: looked at now, and whenever something happened. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!holds()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }
}
