import type { DemoRecord } from "./record.js";
import type { Check } from "./verdict.js";
export function report(record: DemoRecord, checks: readonly Check[], text: string): string {
  return JSON.stringify({ record, checks, text }, (_, v) => (typeof v === "bigint" ? String(v) : v));
}
