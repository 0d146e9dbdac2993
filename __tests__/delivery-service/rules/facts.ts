/** An expected error, by its code. jest's matcher has the type `any`. */
export const errorWith = (code: string): Error => expect.objectContaining({ code }) as Error;
