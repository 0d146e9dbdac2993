import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseKey } from "conclave-mls";

/** What is used of Electron's `safeStorage`, which asks the operating system's keyring. */
export interface SafeStorage {
  isAsyncEncryptionAvailable(): Promise<boolean>;
  encryptStringAsync(plainText: string): Promise<Buffer>;
  decryptStringAsync(encrypted: Buffer): Promise<{ result: string; shouldReEncrypt: boolean }>;
  /** On Linux: which keyring it found. */
  getSelectedStorageBackend?(): string;
}

/** The keystore itself. */
export const keystoreIn = (folder: string): string => join(folder, "keystore.db");

/**
 * The key of the keystore in this folder, unwrapped; at the first start a fresh one, wrapped and on the disk before anything is
 * encrypted with it. Throws when the keyring cannot protect it, and when the key of an existing keystore is gone: a new one would
 * not open it.
 */
export async function keyOf(folder: string, safeStorage: SafeStorage): Promise<DatabaseKey> {
  if (!(await safeStorage.isAsyncEncryptionAvailable()) || safeStorage.getSelectedStorageBackend?.() === "basic_text") {
    throw new Error("The system has no keyring to protect the keystore's key. Install or unlock one, and start again.");
  }
  const path = join(folder, "keystore.key");
  if (existsSync(path)) return unwrapped(path, safeStorage);
  if (existsSync(keystoreIn(folder))) {
    throw new Error(`${path} is missing, and without it the keystore cannot be opened. Put it back, or begin anew.`);
  }
  const key = DatabaseKey.generate();
  writeDurably(path, await wrapped(key, safeStorage));
  return key;
}

// safeStorage takes and gives strings, which JavaScript cannot wipe: these two live until they are collected.
async function wrapped(key: DatabaseKey, safeStorage: SafeStorage): Promise<Buffer> {
  const bytes = Buffer.from(key.copyBytes().buffer);
  try {
    return await safeStorage.encryptStringAsync(bytes.toString("base64"));
  } finally {
    bytes.fill(0);
  }
}

async function unwrapped(path: string, safeStorage: SafeStorage): Promise<DatabaseKey> {
  const { result, shouldReEncrypt } = await safeStorage.decryptStringAsync(readFileSync(path));
  const bytes = Buffer.from(result, "base64");
  try {
    const key = DatabaseKey.from(bytes);
    if (shouldReEncrypt) writeDurably(path, await wrapped(key, safeStorage)); // The keyring has a newer key.
    return key;
  } finally {
    bytes.fill(0);
  }
}

/** Whole or not at all, whenever the process or the machine dies. */
function writeDurably(path: string, content: Buffer): void {
  writeFileSync(`${path}.new`, content, { mode: 0o600, flush: true });
  renameSync(`${path}.new`, path);
}
