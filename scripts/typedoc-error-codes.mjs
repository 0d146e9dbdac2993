/**
 * A plugin of TypeDoc: documents each entry of `errorCodes` in its own words. The table says what its codes mean already, for
 * programs and for docs/errors.md; doc comments in the source would say it a second time.
 */
import { Comment, Converter, ReflectionKind } from "typedoc";
import { errorCodes } from "../dist/esm/lib/errors.js";

const FIELDS = {
  meaning: "What happened, in one sentence.",
  whatToDo: "What the caller can do, in one sentence.",
  retryable: "Whether the same call, later and unchanged, can succeed.",
};

export function load({ converter }) {
  converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const property of project.getReflectionsByKind(ReflectionKind.Property)) {
      const [, table, , code, , field] = property.getFriendlyFullName().split(".");
      if (table !== "errorCodes") continue;
      const text = field === undefined ? errorCodes[code]?.meaning : FIELDS[field];
      if (text !== undefined) property.comment ??= new Comment([{ kind: "text", text }]);
    }
  });
}
