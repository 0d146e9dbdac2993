import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The checkout that these tests run in. */
export const checkout = resolve(__dirname, "..", "..");

/** An empty project of somebody who uses the package. */
export class Consumer implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "conclave-consumer-"));

  constructor() {
    this.write("package.json", JSON.stringify({ name: "consumer", private: true }));
  }

  write(name: string, content: string): void {
    mkdirSync(dirname(join(this.folder, name)), { recursive: true });
    writeFileSync(join(this.folder, name), content);
  }

  /** Installs tarballs as npm does for users, with scripts forbidden and without network. */
  async install(...tarballs: string[]): Promise<void> {
    await this.npm("install", "--ignore-scripts", "--offline", ...tarballs);
  }

  /** Makes a package of the checkout visible, as if it were installed. */
  link(...names: string[]): void {
    for (const name of names) {
      mkdirSync(dirname(join(this.folder, "node_modules", name)), { recursive: true });
      symlinkSync(join(checkout, "node_modules", name), join(this.folder, "node_modules", name));
    }
  }

  /** Takes a linked or copied package away again. */
  unlink(name: string): void {
    rmSync(join(this.folder, "node_modules", name), { recursive: true });
  }

  /** Copies a package of the checkout, where a link would lead out of the project. */
  copy(name: string): void {
    cpSync(join(checkout, "node_modules", name), join(this.folder, "node_modules", name), { recursive: true });
  }

  /** What the published package consists of, copied by hand: for tests that damage an installation. */
  copyPackage(to = "node_modules/conclave-mls"): string {
    const home = join(this.folder, to);
    for (const part of ["package.json", "dist/esm", "dist/cjs", "prebuilds"]) {
      cpSync(join(checkout, part), join(home, part), { recursive: true });
    }
    return home;
  }

  /** Runs a program text with Node and answers what it printed. */
  async node(name: string, program: string, ...options: string[]): Promise<string> {
    this.write(name, program);
    return this.#run(process.execPath, ...options, name);
  }

  /** Runs Node with these arguments and answers what the program printed. */
  async run(...args: string[]): Promise<string> {
    return this.#run(process.execPath, ...args);
  }

  /** Runs a tool of the checkout on this project; rejects with what it printed when it fails. */
  async tool(path: string, ...args: string[]): Promise<string> {
    return this.#run(process.execPath, join(checkout, "node_modules", path), ...args);
  }

  async npm(...args: string[]): Promise<string> {
    return this.#run("npm", ...args, "--no-audit", "--no-fund", "--loglevel=error");
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #run(command: string, ...args: string[]): Promise<string> {
    try {
      return (await run(command, args, { cwd: this.folder, maxBuffer: 2 ** 26 })).stdout.trim();
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string };
      throw new Error(`${[command, ...args].join(" ")} failed:\n${stdout}${stderr}`, { cause: error });
    }
  }
}

/** Packs a folder into the consumer's project and answers the tarball's path. */
export async function pack(folder: string, into: Consumer): Promise<string> {
  const answer = await into.npm("pack", folder, "--ignore-scripts", "--json", "--pack-destination", into.folder);
  const [packed] = JSON.parse(answer) as [{ filename: string }];
  return join(into.folder, packed.filename);
}
