import type { webcrypto } from "node:crypto";

// The types of ts-mls take these two for granted, as in a browser. Node has them under other names.
declare global {
  type CryptoKey = webcrypto.CryptoKey;
  type BufferSource = ArrayBuffer | ArrayBufferView;
}
