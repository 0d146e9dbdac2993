import { answerOf } from "./run.mjs";

/** What has to be installed before Cargo can build native/. */
export function missingRust() {
  const [, major, minor] = /^cargo (\d+)\.(\d+)/.exec(answerOf("cargo", "--version") ?? "") ?? [];
  if (major === undefined) return ["Rust is missing: install Rust 1.91 or later (https://rustup.rs)."];
  if (Number(major) > 1 || Number(minor) >= 91) return [];
  return [`Rust ${major}.${minor} is too old: install Rust 1.91 or later (\`rustup update\`, https://rustup.rs).`];
}
