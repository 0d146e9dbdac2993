import type { DeliveryService } from "conclave-mls/delivery-service";

/** Called at each moment at which a life may end, with its name. */
export type Moments = (name: string) => void;

/** A call with a moment before and a moment after it. */
export async function between<R>(moment: Moments, name: string, call: () => Promise<R>): Promise<R> {
  moment(`before ${name}`);
  const result = await call();
  moment(`after ${name}`);
  return result;
}

/** A delivery service, each of whose calls is between two moments. */
export function momentous(service: DeliveryService, moment: Moments): DeliveryService {
  return new Proxy(service, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      return (...parameters: unknown[]): Promise<unknown> =>
        between(moment, String(name), async (): Promise<unknown> => Reflect.apply(member, target, parameters));
    },
  });
}
