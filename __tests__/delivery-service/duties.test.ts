/** The numbered duties of docs/server.md, each kept by the embedded service, whichever way it is reached and whatever it stores in. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { deliveryErrorCodes } from "../../delivery-service/errors.js";
import { testDuties } from "./duties.js";
import { ways } from "./services.js";

describe.each(ways)("A delivery service %s", (_way, open) => {
  testDuties(open);
});

describe("docs/server.md", () => {
  const page = readFileSync(join(__dirname, "../../docs/server.md"), "utf8");

  test("numbers the duties as they are tested here", () => {
    const tested = [...readFileSync(join(__dirname, "duties.ts"), "utf8").matchAll(/^ {2}test\("(\d+\. [^"]+)"/gm)].map(
      ([, name]) => name,
    );
    expect([...page.matchAll(/^### (\d+\. .+)$/gm)].map(([, name]) => name)).toEqual(tested);
  });

  test("has every error code with its meaning", () => {
    const listed = [...page.matchAll(/^\| `([A-Z_]+)` \| (.+) \|$/gm)].map(([, code, meaning]) => [code, meaning]);
    expect(listed).toEqual(Object.entries(deliveryErrorCodes));
  });
});
