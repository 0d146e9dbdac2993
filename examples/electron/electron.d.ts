/**
 * The few types of Electron that main.ts uses, so that it is checked here, where Electron is not installed. In your application
 * delete this file and `npm install electron`: the package brings its own types.
 */
declare module "electron" {
  export const app: {
    requestSingleInstanceLock(): boolean;
    whenReady(): Promise<void>;
    getPath(name: "userData"): string;
    on(event: "before-quit", listener: (event: { preventDefault(): void }) => void): void;
    on(event: "second-instance" | "window-all-closed", listener: () => void): void;
    quit(): void;
    exit(code: number): void;
  };

  export class BrowserWindow {
    constructor(options: { webPreferences: { preload: string; sandbox: boolean } });
    readonly webContents: { send(channel: string, ...args: unknown[]): void };
    loadFile(path: string): Promise<void>;
    isDestroyed(): boolean;
    isMinimized(): boolean;
    restore(): void;
    focus(): void;
  }

  export const dialog: { showErrorBox(title: string, content: string): void };

  export const ipcMain: {
    handle(channel: string, listener: (event: unknown, ...args: never[]) => unknown): void;
  };

  export const safeStorage: {
    isAsyncEncryptionAvailable(): Promise<boolean>;
    encryptStringAsync(plainText: string): Promise<Buffer>;
    decryptStringAsync(encrypted: Buffer): Promise<{ result: string; shouldReEncrypt: boolean }>;
    /** Linux only. */
    getSelectedStorageBackend?(): string;
  };
}
