import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { inRoot } from "./files.mjs";

const PATH = inRoot(".stamps", "lock");
const HEARTBEAT_MS = 1_000;
const GIVEN_UP_MS = 15_000;

/** Runs `work` while no other run in this checkout does; a run that was killed does not hold up the next one. */
export async function withLock(work) {
  await take();
  process.on("exit", release);
  const heartbeat = setInterval(() => utimesSync(PATH, new Date(), new Date()), HEARTBEAT_MS);
  try {
    await work();
  } finally {
    clearInterval(heartbeat);
    process.off("exit", release);
    release();
  }
}

async function take() {
  mkdirSync(dirname(PATH), { recursive: true });
  for (let said = false; ; said = true) {
    try {
      return writeFileSync(PATH, String(process.pid), { flag: "wx" });
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (isAbandoned()) {
      release();
    } else {
      if (!said) console.log("waiting     for another run in this checkout to finish");
      await pause(250);
    }
  }
}

/** The holder is gone, or (where its process cannot be seen, as from inside a container) has shown no life for a while. */
function isAbandoned() {
  try {
    if (Date.now() - statSync(PATH).mtimeMs > GIVEN_UP_MS) return true;
    const pid = Number(readFileSync(PATH, "utf8"));
    if (pid > 0) process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === "ESRCH";
  }
}

function release() {
  rmSync(PATH, { force: true });
}
