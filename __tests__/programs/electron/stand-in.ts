/**
 * What main.ts of examples/electron needs of Electron, under plain Node. The process that started this one is the window: it
 * invokes channels by message and is told what is sent to the window. The environment decides what the system is like.
 */
import { EventEmitter } from "node:events";
import { writeSync } from "node:fs";
import type * as Electron from "electron";

const { USER_DATA = "", SECOND_INSTANCE, KEYRING, STOP_AT_CHANGE } = process.env;
const events = new EventEmitter();

export const app: typeof Electron.app = {
  requestSingleInstanceLock: () => SECOND_INSTANCE === undefined,
  whenReady: async () => {},
  getPath: () => USER_DATA,
  on: (event: string, listener: (event: { preventDefault(): void }) => void) => void events.on(event, listener),
  quit() {
    const wish = { prevented: false };
    events.emit("before-quit", { preventDefault: () => (wish.prevented = true) });
    if (wish.prevented) return;
    if (process.connected) process.disconnect(); // From here on the process must end by itself.
  },
  exit: (code) => process.exit(code),
};

let changes = 0;

export class BrowserWindow implements Electron.BrowserWindow {
  readonly webContents = {
    send: (channel: string) => {
      changes += 1;
      if (String(changes) === STOP_AT_CHANGE) stopHere();
      process.send?.({ sent: channel });
    },
  };
  loadFile = async (): Promise<void> => void process.send?.({ sent: "loaded" });
  isDestroyed = (): boolean => false;
  isMinimized = (): boolean => true;
  restore = (): void => void process.send?.({ sent: "restored" });
  focus = (): void => void process.send?.({ sent: "focused" });
}

export const dialog: typeof Electron.dialog = {
  showErrorBox: (_title, content) => void writeSync(2, content),
};

const handlers = new Map<string, (event: unknown, ...args: never[]) => unknown>();

export const ipcMain: typeof Electron.ipcMain = {
  handle: (channel, listener) => void handlers.set(channel, listener),
};

/** No secret is kept with this: it turns the bytes around. */
export const safeStorage: typeof Electron.safeStorage = {
  isAsyncEncryptionAvailable: async () => KEYRING !== "none",
  encryptStringAsync: async (text) => Buffer.from(text).reverse(),
  decryptStringAsync: async (encrypted) => ({
    result: Buffer.from(encrypted).reverse().toString(),
    shouldReEncrypt: false,
  }),
  getSelectedStorageBackend: () => KEYRING ?? "gnome_libsecret",
};

process.on("message", ({ id, channel, args }: { id?: number; channel: string; args: never[] }) => {
  if (id === undefined) {
    if (channel === "quit") app.quit();
    else events.emit(channel);
    return;
  }
  void (async () => handlers.get(channel)?.({}, ...args))().then(
    (answer) => process.send?.({ id, answer }),
    (error: unknown) => process.send?.({ id, failure: String(error) }),
  );
});

/** Nothing of this thread goes on: the place to be killed at. */
function stopHere(): void {
  writeSync(1, "stopped\n");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
