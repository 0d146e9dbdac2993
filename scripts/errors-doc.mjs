/** Writes docs/errors.md from the table in lib/errors.ts. With --check it writes nothing and fails when the page is another. */
import { readFileSync } from "node:fs";
import { errorCodes } from "../dist/esm/lib/errors.js";
import { inRoot } from "./ensure/files.mjs";
import { writeOrCheck } from "./generated.mjs";

/** A commit stays open after these: the next call is `settle`, and not the same one again. */
const SETTLE_FIRST = ["COMMIT_OUTCOME_UNKNOWN", "RETRY_EXHAUSTED"];

const retryableOf = (code) =>
  SETTLE_FIRST.includes(code)
    ? "*Retryable:* by `session.settle()`, not by the same call: a commit is open, and may have been accepted."
    : "*Retryable:* the same call, later and unchanged, can succeed.";

const entries = Object.entries(errorCodes).map(
  ([code, { meaning, whatToDo, retryable }]) =>
    `## ${code}\n\n${meaning}\n\n*What to do:* ${whatToDo}${retryable ? `\n\n${retryableOf(code)}` : ""}\n`,
);

/** The fields of `MlsErrorContext`, in the words of its doc comments. */
const [, contextBody] = /interface MlsErrorContext \{\n(.*?)^\}/ms.exec(readFileSync(inRoot("lib/errors.ts"), "utf8"));
const fields = Array.from(
  contextBody.matchAll(/\/\*\*(.*?)\*\/\s*readonly (\w+)\?:/gs),
  ([, comment, name]) => `| \`${name}\` | ${comment.replace(/\s*\n\s*\* ?/g, " ").trim()} |`,
);

const page = `<!-- Generated from lib/errors.ts by scripts/errors-doc.mjs. Do not edit. -->

# Errors

Every failure that can be expected is an \`MlsError\` with one of these codes. Decide by the code: \`MlsError.is(error, "ABORTED")\`
works between the ES module and CommonJS forms of the package, and codes stay what they are. To another thread send
\`error.toJSON()\`, which has code, message and context, and compare its \`code\`: \`structuredClone\` keeps the message alone.
Messages are for people and may change. What your own callback throws inside a transaction comes out as it is.

Besides \`code\` and \`message\` an error has

- \`retryable\`: whether it can get better by waiting, without a change of the call. A program may then try again, later and a limited
  number of times. Two codes are the exception: after ${SETTLE_FIRST.map((code) => `\`${code}\``).join(" and ")} a commit is open, that of
  the call or, where \`context.earlier\` is true, an earlier one; and \`session.settle()\` is what to call next.
- \`cause\`: what was underneath, where there is something: the error of the transport, of \`deliver\`, of the operating system.
- \`context\`: where it happened, as plain data that is safe to log. A field is there where it says something:

| field | what it says |
| --- | --- |
${fields.join("\n")}

${entries.join("\n")}`;

writeOrCheck("docs/errors.md", page, "scripts/errors-doc.mjs");
