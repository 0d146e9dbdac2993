/**
 * Makes a checkout ready to run: npm packages, OpenMLS with our edits, the native addon, the compiled TypeScript. Runs before
 * `npm test`, `npm run demo` and `npm run check`; does only what is missing, says so, and is silent and quick when nothing is.
 * Needs no package itself.
 *
 * What is there is judged by content: lock file against what is installed, sources against the fingerprint that the last
 * finished build left in .stamps/. An interrupted build leaves none, so the next run does it again.
 */
if (Number.parseInt(process.versions.node) < 20) {
  console.error(
    `Conclave needs Node 20 or later, and this is ${process.version}: install it from nodejs.org or your package manager.`,
  );
  process.exit(1);
}

const { packages } = await import("./ensure/packages.mjs");
const { engine } = await import("./ensure/engine.mjs");
const { addon } = await import("./ensure/addon.mjs");
const { compiled } = await import("./ensure/compiled.mjs");
const { withLock } = await import("./ensure/lock.mjs");

const steps = [packages, engine, addon, compiled];
try {
  if (!steps.every((step) => step.isCurrent())) await withLock(makeWhatIsMissing);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

async function makeWhatIsMissing() {
  // Asked of all steps before the first begins: a missing compiler should not be news after a minute of npm.
  const tools = steps.filter((step) => !step.isCurrent()).flatMap((step) => step.missingTools());
  if (tools.length > 0) throw new Error([...new Set(tools)].join("\n"));

  for (const step of steps) {
    // More than once where sources change meanwhile, as Cargo.lock does after an edit of Cargo.toml.
    for (let times = 0; !step.isCurrent(); times++) {
      if (times === 3)
        throw new Error(
          `${step.name}: made three times, and yet not as it should be. Do its files change all the time?`,
        );
      await step.make();
    }
  }
}
