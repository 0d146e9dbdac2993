/**
 * What we change in the released OpenMLS. README.md beside this file says why, by the names here.
 *
 * Each `find` is in its file exactly once; scripts/ensure/engine.mjs puts `replace` in its place, and fails where it is not.
 */
export const edits = [];
