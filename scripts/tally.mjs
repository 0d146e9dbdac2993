/**
 * Adds up what `.ci/run` ran and prints its closing line. Takes the files that jest (\`--json\`) and scripts/check.mjs
 * (\`--report\`) wrote. A file of tests that could not run, and a step of the gate that failed, count as one failure each; so does
 * a report that is missing, and a run without any test.
 */
import { existsSync, readFileSync } from "node:fs";

const [jest, gate] = process.argv
  .slice(2)
  .map((path) => (existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined));
const passed = (jest?.numPassedTests ?? 0) + (gate?.rustPassed ?? 0);
const jestFailed = jest === undefined ? 1 : jest.numFailedTests + jest.numRuntimeErrorTestSuites;
const gateFailed = gate === undefined ? 1 : gate.rustFailed + gate.failedSteps.length;
let failed = jestFailed + gateFailed;
if (failed === 0 && (jest.success === false || jest.numPassedTests === 0 || gate.rustPassed === 0)) {
  console.log("A half of the tests did not run, though nothing says that it failed.");
  failed = 1;
}
if (gate?.failedSteps.length > 0) console.log(`Failed: ${gate.failedSteps.join(", ")}`);

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
