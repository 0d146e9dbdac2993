/**
 * The crash tests, short or long: `npm run test:crash -- --help`. docs/crash-tests.md tells what they do and what they show.
 */
import { parseArgs } from "node:util";
import { buildControl } from "./control-build.js";
import { survive } from "./kills/run.js";
import { programs } from "./root.js";

const { values } = parseArgs({
  options: {
    kills: { type: "string" },
    seed: { type: "string", default: "1" },
    control: { type: "boolean", default: false },
  },
});
const report = await survive({
  kills: Number(values.kills ?? 20),
  seed: Number(values.seed),
  programs: values.control ? buildControl() : programs,
  progress: (line) => console.log(line),
});
console.log(report);
