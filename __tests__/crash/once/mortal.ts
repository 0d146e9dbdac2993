/**
 * Alice in a process of its own, that dies at a moment, or at an operation on her keystore's files that its parent has armed.
 * One argument, in JSON. Tells by one line each which moments it has come to.
 */
import { writeSync } from "node:fs";
import { deliveryServiceAt } from "conclave-mls/delivery-service";
import { live } from "./alice.js";
import type { Habit } from "./habits.js";

/** How it is started. */
export interface Orders {
  readonly path: string;
  readonly key: string;
  readonly url: string;
  readonly habit: Habit;
  /** The moment that is its last, from 1; 0: none. */
  readonly last: number;
}

const { path, key, url, habit, last } = JSON.parse(process.argv[2] ?? "{}") as Orders;
let count = 0;

function moment(name: string): void {
  writeSync(1, `${name}\n`);
  if (++count === last) process.kill(process.pid, "SIGKILL");
}

const service = deliveryServiceAt(url);
await live({ path, key: Buffer.from(key, "hex"), service, habit, moment });
await service.close();
