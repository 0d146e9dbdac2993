import { LARGEST_ANSWER } from "../limits.js";

/**
 * The first rows, as many as one answer carries: no more bytes than `LARGEST_ANSWER`, and at least
 * one row.
 */
export function page<Row extends { readonly bytes: Uint8Array }>(rows: Iterable<Row>): Row[] {
  const taken: Row[] = [];
  let size = 0;
  for (const row of rows) {
    size += row.bytes.length;
    if (size > LARGEST_ANSWER && taken.length > 0) break;
    taken.push(row);
  }
  return taken;
}
