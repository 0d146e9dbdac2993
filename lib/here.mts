import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** The same as `here.cts`, which stands in its place in the CommonJS build; the two are exchanged when dist/esm is built. */
const url: string | undefined = import.meta.url;

/** The folder of this file; undefined where a bundler has made something of this file that has none. */
export const here: string | undefined = url?.startsWith("file:") === true ? dirname(fileURLToPath(url)) : undefined;

/** For tools that copy the files which a program needs: see `here.cts`. */
export const prebuilds: string | undefined =
  here === undefined ? undefined : dirname(fileURLToPath(import.meta.url)) + "/../../../prebuilds";
