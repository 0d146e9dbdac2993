import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { checkout } from "./consumer.js";

interface Edit {
  name: string;
  file: string;
  find: string;
  replace: string;
}

const from = (path: string): string => JSON.stringify(pathToFileURL(join(checkout, path)).href);

/**
 * Evaluates an expression in a process that has the edits and the function that applies them. Both
 * are in ES modules, which jest cannot load.
 */
function evaluate(expression: string): unknown {
  const program = `
    import { edits } from ${from("native/engine/edits.mjs")};
    import { edited } from ${from("scripts/ensure/engine.mjs")};
    const outcome = (...given) => { try { return edited(...given); } catch (error) { return error.message; } };
    process.stdout.write(JSON.stringify(${expression}));`;
  return JSON.parse(execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" }));
}

const edits = evaluate("edits") as Edit[];

describe("the edits of the engine", () => {
  test("take the place of what they are written for, and of nothing else", () => {
    const source = "before\n  old();\nafter\n";
    const edit: Edit = { name: "newer", file: "src/lib.rs", find: "old();", replace: "$&new();" };
    const outcome = (text: string) => evaluate(`outcome(${JSON.stringify(text)}, ${JSON.stringify(edit)})`);
    expect(outcome(source)).toBe("before\n  $&new();\nafter\n");
    expect(outcome(source + source)).toMatch(/The edit "newer" does not fit src\/lib\.rs .* there 2 times/);
  });

  test("fail on another source with a sentence that names the edit and its file", () => {
    const outcomes = evaluate(`edits.map((edit) => outcome("pub fn other() {}", edit))`) as string[];
    expect(outcomes).toHaveLength(edits.length);
    for (const [index, outcome] of outcomes.entries()) {
      const { name, file } = edits[index]!;
      expect(outcome).toContain(`The edit "${name}" does not fit ${file} of OpenMLS`);
      expect(outcome).toContain("is not there");
      expect(outcome).toContain("The source is another one than the edit was written for.");
    }
  });

  test("are those in the engine that was built", () => {
    for (const { file, find, replace } of edits) {
      const source = readFileSync(join(checkout, "native/engine/openmls", file), "utf8");
      expect(source.split(replace)).toHaveLength(2);
      if (!replace.includes(find)) expect(source).not.toContain(find);
    }
  });

  test("are explained in the README beside them, all of them and no others", () => {
    const readme = readFileSync(join(checkout, "native/engine/README.md"), "utf8");
    const explained = Array.from(readme.matchAll(/^### (.*)$/gm), ([, names]) => names!.match(/[\w-]+/g)!).flat();
    expect(explained.sort()).toEqual([...new Set(edits.map(({ name }) => name))].sort());
  });
});
