/**
 * JSON with three more kinds of values, each an object with one key: bytes in base64, bigint as decimal text, dates in
 * milliseconds. What comes out of `decode` is checked by zod before anybody uses it.
 */
export function encode(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key: string, converted: unknown) {
    const plain = this[key]; // before toJSON, which Buffer and Date have
    if (plain instanceof Uint8Array)
      return { $bytes: Buffer.from(plain.buffer, plain.byteOffset, plain.length).toString("base64") };
    if (typeof plain === "bigint") return { $bigint: plain.toString() };
    if (plain instanceof Date) return { $date: plain.getTime() };
    return converted;
  });
}

/** Throws a `SyntaxError` for text that `encode` cannot have made. */
export function decode(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown) => {
    if (typeof value !== "object" || value === null) return value;
    if ("$bytes" in value && typeof value.$bytes === "string")
      return new Uint8Array(Buffer.from(value.$bytes, "base64"));
    if ("$bigint" in value && typeof value.$bigint === "string") return BigInt(value.$bigint);
    if ("$date" in value && typeof value.$date === "number") return new Date(value.$date);
    return value;
  });
}
