import { MlsError } from "./errors.js";

/** Whether this is an array, of whatever realm. A proxy that was revoked is none, where `Array.isArray` throws. */
export function isList(value: unknown): value is readonly unknown[] {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}

/**
 * A copy of the caller's list, each entry made by `copy`, which gets the entry and its name for errors. Only the length and
 * the entries are read, each once and in order: an array with a `map` or an iterator of its own is an array like any other,
 * and a hole is an entry that is undefined. Throws `INVALID_ARGUMENT` for what is no array or cannot be read, naming the
 * place, and outside the limits, before anything else is read.
 */
export function copyList<T>(
  value: unknown,
  name: string,
  copy: (entry: unknown, name: string) => T,
  { min = 0, max = Infinity } = {},
): T[] {
  if (!isList(value)) throw notAList(name, min, max);
  const length: unknown = read(value, "length", name);
  if (!Number.isSafeInteger(length)) throw unreadable(name);
  if ((length as number) < min || (length as number) > max) throw notAList(name, min, max);
  const copies: T[] = [];
  for (let place = 0; place < (length as number); place++) {
    const path = `${name}.${place}`;
    copies.push(copy(read(value, place, path), path));
  }
  return copies;
}

/** The error for what throws while it is read: a getter or a proxy of the caller's. */
export function unreadable(name: string, cause?: unknown): MlsError {
  return new MlsError("INVALID_ARGUMENT", `${name} could not be read: it, or something in it, threw.`, { cause });
}

function read(list: readonly unknown[], property: number | "length", name: string): unknown {
  try {
    return list[property as number];
  } catch (cause) {
    throw unreadable(name, cause);
  }
}

function notAList(name: string, min: number, max: number): MlsError {
  const size = max === Infinity ? "" : ` with ${min} to ${max} entries`;
  return new MlsError("INVALID_ARGUMENT", `${name} must be an array${size}.`);
}
