/**
 * The same native object, whose promises settle in the order of the calls. The engine works in that
 * order and answers in it, but each answer finds its own way to this thread, and a later one can be
 * faster. What became of a commit would be told before anybody knows that the commit is there.
 */
export function inOrder<T extends object>(native: T): T {
  let last: Promise<unknown> = Promise.resolve();
  const call = (method: Method, args: unknown[]): unknown => {
    const answer: unknown = Reflect.apply(method, native, args);
    if (!isPromise(answer)) return answer;
    answer.catch(() => {}); // It may reject before its turn comes.
    const inTurn = last.then(() => answer);
    last = inTurn.catch(() => {});
    return inTurn;
  };
  return new Proxy(native, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === "function" ? (...args: unknown[]) => call(member as Method, args) : member;
    },
  });
}

type Method = (...args: unknown[]) => unknown;

/** By shape: a promise of the addon can be of another realm than this code. */
function isPromise(value: unknown): value is Promise<unknown> {
  return typeof value === "object" && value !== null && "then" in value && "catch" in value;
}
