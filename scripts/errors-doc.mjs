/** Writes docs/errors.md from the table in lib/errors.ts. With --check it writes nothing and fails when the page is another. */
import { errorCodes } from "../dist/esm/lib/errors.js";
import { writeOrCheck } from "./generated.mjs";

const entries = Object.entries(errorCodes).map(
  ([code, { meaning, whatToDo, retryable }]) =>
    `## ${code}\n\n${meaning}\n\n*What to do:* ${whatToDo}${retryable ? "\n\n*Retryable:* the same call, later and unchanged, can succeed." : ""}\n`,
);

const page = `<!-- Generated from lib/errors.ts by scripts/errors-doc.mjs. Do not edit. -->

# Errors

Every failure that can be expected is an \`MlsError\` with one of these codes. Decide by the code: \`MlsError.is(error, "ABORTED")\`
works across worker threads' copies of the package and between its ES module and CommonJS forms, and codes stay what they are.
Messages are for people and may change. What your own callback throws inside a transaction comes out as it is.

${entries.join("\n")}`;

writeOrCheck("docs/errors.md", page, "scripts/errors-doc.mjs");
