/** The folder of this file, whichever build it is part of: ES modules have no `__dirname`, and `import.meta` is no CommonJS. */
export const here: string = __dirname;
