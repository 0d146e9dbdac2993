/**
 * The main process of an Electron messenger. Nothing but this file knows Electron; what it wires together is in messenger.ts and
 * runs under plain Node as well.
 */
import { join } from "node:path";
import { app, BrowserWindow, dialog, ipcMain, safeStorage } from "electron";
import { deliveryServiceAt } from "conclave-mls/delivery-service";
import { Messenger } from "./messenger.js";
import { socketsTo } from "./socket.js";

// From your log-in and your configuration.
const { CLIENT_ID: clientId = "alice", DELIVERY_SERVICE: url = "http://127.0.0.1:1/" } = process.env;

let window: BrowserWindow | undefined;

// A keystore has one owner, and for a second process it is DATABASE_IN_USE: the second instance leaves before it opens anything.
if (app.requestSingleInstanceLock()) {
  app.on("second-instance", showWindow);
  app.on("window-all-closed", () => app.quit());
  void app.whenReady().then(start, fail).catch(fail);
} else {
  app.quit();
}

async function start(): Promise<void> {
  const service = deliveryServiceAt(url);
  const messenger = await Messenger.open({
    folder: app.getPath("userData"),
    clientId,
    safeStorage,
    service,
    connect: socketsTo(service, clientId),
    // A window that is gone throws, and what deliver throws puts messages back.
    onChange: () => (window?.isDestroyed() === false ? window.webContents.send("changed") : undefined),
  });
  closeBeforeQuitting(messenger);

  // What comes from a renderer is checked like anything from outside.
  ipcMain.handle("conversations", () => messenger.conversations());
  ipcMain.handle("messages", (_event, conversationId: unknown) => messenger.messages(text(conversationId)));
  ipcMain.handle("drafts", () => messenger.drafts().map(({ id, text, problem }) => ({ id, text, problem })));
  ipcMain.handle("notices", () => messenger.notices());
  ipcMain.handle("trouble", () => messenger.trouble);
  ipcMain.handle("send", (_event, conversationId: unknown, words: unknown) =>
    messenger.send(text(conversationId), text(words)),
  );
  ipcMain.handle("create", (_event, conversationId: unknown, clientIds: unknown) =>
    messenger.create(text(conversationId), Array.isArray(clientIds) ? clientIds.map(text) : []),
  );

  window = new BrowserWindow({ webPreferences: { preload: join(import.meta.dirname, "preload.cjs"), sandbox: true } });
  await window.loadFile("index.html");
}

/** Nothing is lost without it, but it ends calls that wait, and the consumed keys leave the keystore's log at once. */
function closeBeforeQuitting(messenger: Messenger): void {
  let closed = false;
  app.on("before-quit", (event) => {
    if (closed) return;
    event.preventDefault();
    void messenger.close().finally(() => {
      closed = true;
      app.quit();
    });
  });
}

function showWindow(): void {
  if (window?.isMinimized() === true) window.restore();
  window?.focus();
}

function fail(error: unknown): void {
  dialog.showErrorBox("The messenger cannot start", error instanceof Error ? error.message : String(error));
  app.exit(1);
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw new TypeError("The window has sent something that is no text.");
}
