import type { FileDigest } from "./record.js";

/** What the people of the demo put into a message: a line of text, what file is about to come, or a chunk of it. */
export type Content =
  | { readonly kind: "line"; readonly text: string }
  | { readonly kind: "file"; readonly file: AnnouncedFile }
  | { readonly kind: "chunk"; readonly index: number; readonly bytes: Uint8Array };

/** A file as its sender describes it. */
export interface AnnouncedFile extends FileDigest {
  readonly chunks: number;
}

const KINDS = ["line", "file", "chunk"] as const;
/** A chunk has its place in the file behind the kind: four bytes, the first one the most significant. */
const INDEX_BYTES = 4;

/** The plaintext of a message: one byte for the kind, and then what it is. */
export function encodeContent(content: Content): Uint8Array {
  return Buffer.concat([Uint8Array.of(KINDS.indexOf(content.kind)), bodyOf(content)]);
}

/** The way back. Throws for what is no content: everybody in the demo runs this program. */
export function decodeContent(plaintext: Uint8Array): Content {
  const body = Buffer.from(plaintext.subarray(1));
  switch (KINDS[plaintext[0] ?? KINDS.length]) {
    case "line":
      return { kind: "line", text: body.toString() };
    case "file":
      return { kind: "file", file: JSON.parse(body.toString()) as AnnouncedFile };
    case "chunk":
      return { kind: "chunk", index: body.readUInt32BE(), bytes: body.subarray(INDEX_BYTES) };
    default:
      throw new Error("This message is none of the demo.");
  }
}

function bodyOf(content: Content): Uint8Array {
  switch (content.kind) {
    case "line":
      return Buffer.from(content.text);
    case "file":
      return Buffer.from(JSON.stringify(content.file));
    case "chunk": {
      const index = Buffer.alloc(INDEX_BYTES);
      index.writeUInt32BE(content.index);
      return Buffer.concat([index, content.bytes]);
    }
  }
}
