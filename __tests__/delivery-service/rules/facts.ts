import type { Member } from "../../../delivery-service/rules/conversation.js";

/** A member with one leaf, unless the row says otherwise. */
export const member = (clientId: string, row: Partial<Member> & Pick<Member, "since">): Member => ({
  clientId,
  leaves: 1,
  removedAt: undefined,
  ...row,
});

/** An expected error, by its code. jest's matcher has the type `any`. */
export const errorWith = (code: string): Error => expect.objectContaining({ code }) as Error;
export const textWith = (part: string): unknown => expect.stringContaining(part);
