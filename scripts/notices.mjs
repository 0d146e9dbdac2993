/**
 * Writes THIRD-PARTY-NOTICES: what the published package carries of others, and under which licence. With --check it writes
 * nothing and fails when the file is not what it would write. Needs no network once the crates are downloaded.
 *
 * The addon's part is read from Cargo's own resolution for the platforms we build. What only runs at build time (procedural
 * macros, build scripts) is not in the binary and not listed. Where there is a choice Apache-2.0 is taken: its text is the
 * same for all, so that it need not be repeated.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { inRoot, readJson } from "./ensure/files.mjs";
import { writeOrCheck } from "./generated.mjs";

const TARGETS = ["x86_64-unknown-linux-gnu"];
const APACHE = "Apache License, Version 2.0: the text is in LICENSE-APACHE beside this file.";

const { packages: cargoPackages, workspace_members: ours } = JSON.parse(
  cargo("metadata", "--format-version", "1", ...TARGETS.flatMap((target) => ["--filter-platform", target])),
);
const works = [...linkedCrates(), ...linkedLibraries(), ...npmPackages()];
writeOrCheck("THIRD-PARTY-NOTICES", notices(works), "scripts/notices.mjs");

/** One section per licence text, headed by the works it is for. */
function notices(all) {
  const rendered = [...new Set(all.map((work) => work.text))].map((text) => {
    const titles = all.filter((work) => work.text === text).map(title);
    return `${titles.sort().join("\n")}\n\n${text}\n`;
  });
  const rule = `\n${"=".repeat(80)}\n\n`;
  return ["This package contains, or is linked with, the following works of others.\n", ...rendered.sort()].join(rule);
}

function title({ name, licence, source }) {
  return [name, `(${licence})`, source].join(" ").trimEnd();
}

function linkedCrates() {
  const ids = TARGETS.flatMap((target) =>
    // prettier-ignore
    cargo("tree", "-p", "conclave-native", "-e", "normal,no-proc-macro", "--target", target, "--prefix", "none", "--format", "{p}")
      .trim()
      .split("\n")
      .map((line) => line.split(" ", 2).join(" ")),
  );
  return cargoPackages
    .filter((found) => !ours.includes(found.id))
    .filter((found) => ids.includes(`${found.name} v${found.version}`))
    .map((found) => describe({ ...found, source: addressOf(found), folder: dirname(found.manifest_path) }));
}

/** A crate that is no crate of ours and yet from no registry is carried with edits: native/engine/. */
function addressOf({ repository, source }) {
  return source === null ? `${repository}, changed by the authors of this package` : repository;
}

/** What the crates bring that is not theirs. */
function linkedLibraries() {
  const sqlcipher = dirname(cargoPackages.find(({ name }) => name === "sqlcipher-src").manifest_path);
  return [
    {
      name: "SQLCipher",
      licence: "BSD-3-Clause",
      source: "https://www.zetetic.net/sqlcipher/",
      text: readText(join(sqlcipher, "sqlcipher", "LICENSE-sqlcipher")),
    },
    { name: "SQLite", licence: "public domain", source: "https://sqlite.org", text: "Its authors disclaim copyright." },
    { name: "OpenSSL", licence: "Apache-2.0", source: "https://openssl-library.org", text: APACHE },
    { name: "Rust standard library", licence: "Apache-2.0", source: "https://www.rust-lang.org", text: APACHE },
  ];
}

function npmPackages() {
  return Object.keys(readJson("package.json").dependencies).map((id) => {
    const { name, version, license, homepage } = readJson(`node_modules/${id}/package.json`);
    return describe({ name, version, license, source: homepage, authors: [], folder: inRoot("node_modules", id) });
  });
}

function describe({ name, version, license, source, authors, folder }) {
  const choices = license.split(/ OR |\//);
  const licence = ["Apache-2.0", "MIT"].find((choice) => choices.includes(choice)) ?? license;
  return { name: `${name} ${version}`, licence, source: source ?? "", text: text(licence, folder, authors) };
}

function text(licence, folder, authors) {
  const files = readdirSync(folder);
  const notice = files.find((file) => /^notice/i.test(file));
  if (licence === "Apache-2.0") return notice === undefined ? APACHE : `${APACHE}\n\n${readText(join(folder, notice))}`;
  if (licence === "MPL-2.0") {
    return "Mozilla Public License 2.0, https://mozilla.org/MPL/2.0/; the source, unchanged, is at the addresses above.";
  }
  const own = [`license-${licence}`, "license"].flatMap((wanted) =>
    files.filter((file) => file.toLowerCase().replace(/\.\w+$/, "") === wanted.toLowerCase()),
  );
  if (own.length > 0) return readText(join(folder, own[0]));
  if (licence === "MIT") return mit(authors);
  throw new Error(`${folder} has no text of its licence ${licence}: teach scripts/notices.mjs where it is.`);
}

/** For those who name the licence and ship no text: our own copy of the terms, with their names. */
function mit(authors) {
  const names = authors.map((author) => author.replace(/ <.*>$/, "")).join(", ");
  return readText(inRoot("LICENSE-MIT")).replace(/^Copyright .*$/m, `Copyright (c) ${names}`);
}

function readText(path) {
  return readFileSync(path, "utf8").replace(/\r/g, "").replace(/[ \t]+$/gm, "").trim(); // prettier-ignore
}

function cargo(...args) {
  const options = ["--offline", "--locked", "--manifest-path", inRoot("native/Cargo.toml")];
  return execFileSync("cargo", [...args, ...options], { encoding: "utf8", maxBuffer: 2 ** 28 });
}
