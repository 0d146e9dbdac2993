/**
 * The same native object, whose promises settle in the order of the calls. The engine works in that
 * order and answers in it, but each answer finds its own way to this thread, and a later one can be
 * faster. What became of a commit would be told before anybody knows that the commit is there.
 */
export function inOrder<T extends object>(native: T): T {
  let last: Promise<unknown> = Promise.resolve();
  return withAnswers(native, (answer) => {
    answer.catch(() => {}); // It may reject before its turn comes.
    const inTurn = last.then(() => answer);
    last = inTurn.catch(() => {});
    return inTurn;
  });
}

/**
 * The same native object: `before` is told of each call, and what asynchronous methods answer goes through `through`, with the
 * name of the method and its arguments.
 */
export function withAnswers<T extends object>(
  native: T,
  through: (answer: Promise<unknown>, method: string, args: readonly unknown[]) => Promise<unknown>,
  before: () => void = () => {},
): T {
  return new Proxy(native, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => {
        before();
        const answer: unknown = Reflect.apply(member, target, args);
        return isPromise(answer) ? through(answer, String(name), args) : answer;
      };
    },
  });
}

/** By shape: a promise of the addon can be of another realm than this code. */
function isPromise(value: unknown): value is Promise<unknown> {
  return typeof value === "object" && value !== null && "then" in value && "catch" in value;
}
