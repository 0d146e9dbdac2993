import type { Counts } from "./client.js";
import type { LossyNetwork } from "./lossy-network.js";
import type { Account } from "./verdict.js";

/** What came of a run, a line for each figure. */
export function table({
  seed,
  conversations,
  seconds,
  account,
  counts,
  network,
}: {
  seed: number;
  conversations: number;
  seconds: number;
  account: Account;
  counts: readonly Counts[];
  network: LossyNetwork;
}): string {
  const sum = (what: keyof Counts): number => counts.reduce((total, one) => total + one[what], 0);
  const faults = Object.entries(network.faults).map(([fault, times]) => `${fault} ${times}`);
  const rows: [string, string][] = [
    ["seed", String(seed)],
    ["conversations", String(conversations)],
    ["messages to the bot", `${account.requests.length} of ${account.asked.length}`],
    ["commits accepted", String(sum("commits"))],
    ["told to retry", String(sum("retries"))],
    ["outcomes unknown", `${sum("unknown")}, settled ${sum("settled")}`],
    ["faults of the network", faults.join(", ")],
    ["time", `${seconds.toFixed(1)} s`],
  ];
  return rows.map(([name, value]) => `${name.padEnd(24)}${value}`).join("\n");
}
