/** What many samples say. Each figure is one that was measured, not a mean of two. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  /** Nine of ten samples are not above it. */
  readonly p90: number;
  readonly max: number;
  /** How many samples there are. */
  readonly samples: number;
}

/** The summary of at least one sample. */
export function summaryOf(samples: readonly number[]): Summary {
  const sorted = samples.toSorted((one, other) => one - other);
  const at = (share: number): number => {
    const sample = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
    if (sample === undefined) throw new Error("Nothing was measured.");
    return Math.round(sample * 100) / 100;
  };
  return { median: at(0.5), min: at(0), p90: at(0.9), max: at(1), samples: sorted.length };
}
