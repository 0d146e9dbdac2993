/**
 * The folder of this file, in the CommonJS build and in tests: ES modules have no `__dirname`, and `import.meta` is no
 * CommonJS. `here.mts` is the same for the ES module build, which so has no CommonJS in it that a bundler could stumble on.
 * Undefined where a bundler has made something of this file that has no folder.
 */
export const here: string | undefined = typeof __dirname === "string" ? __dirname : undefined;

/**
 * The folder with the addon, seen from where this file is installed. The loader does not use it: tools that copy the files
 * which a program needs (Next.js standalone, @vercel/nft) evaluate this expression, and take the folder along.
 */
export const prebuilds: string | undefined =
  typeof __dirname === "string" ? __dirname + "/../../../prebuilds" : undefined;
