import { MlsError, type MlsErrorCode } from "conclave-mls";

/** The MlsError that the promise rejects with; fails the test when it resolves, or rejects with anything else. */
export async function failure(promise: Promise<unknown>): Promise<MlsError> {
  const outcome = await promise.then(
    (value: unknown) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ("error" in outcome && MlsError.is(outcome.error)) return outcome.error;
  throw new Error("error" in outcome ? "It rejected with something that is no MlsError." : "It resolved.", {
    cause: "error" in outcome ? outcome.error : outcome.value,
  });
}

/** Expects the promise to reject with this code. */
export async function expectCode(promise: Promise<unknown>, code: MlsErrorCode): Promise<MlsError> {
  const error = await failure(promise);
  expect({ code: error.code, message: error.message }).toEqual({ code, message: expect.any(String) as string });
  return error;
}
