import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import type { Content } from "./content.js";
import type { FileDigest } from "./record.js";

/** Each chunk is one message, in bytes. Small enough to come through beside other messages, large enough not to be many. */
export const CHUNK_BYTES = 128 * 1024;

/** Into how many chunks a file of this size is cut. */
export function chunksOf(bytes: number): number {
  return Math.ceil(bytes / CHUNK_BYTES);
}

/** What tells a file from others. */
export async function digestOf(path: string): Promise<FileDigest> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of chunksIn(path)) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { name: basename(path), bytes, sha256: hash.digest("hex") };
}

/** What is to be sent of a file: first what it is, then its chunks in order. */
export async function* contentsOf(path: string, file: FileDigest): AsyncGenerator<Content> {
  yield { kind: "file", file: { ...file, chunks: chunksOf(file.bytes) } };
  let index = 0;
  for await (const bytes of chunksIn(path)) yield { kind: "chunk", index: index++, bytes };
}

/** All of the same size but the last one. */
async function* chunksIn(path: string): AsyncGenerator<Buffer> {
  const file = await open(path);
  try {
    for (;;) {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES);
      if (bytesRead === 0) return;
      yield chunk.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
