import type { Database } from "./database.js";
import type { RememberAbort } from "../rules/decision.js";

/** The commits that were answered with `abort`. */
export function abortedCommitTable(database: Database) {
  const reason = database.prepare<[string], string>("SELECT reason FROM aborted_commits WHERE commit_id = ?").pluck();
  const insert = database.prepare("INSERT INTO aborted_commits (commit_id, reason) VALUES (?, ?)");

  return {
    reasonOf(commitId: string): string | undefined {
      return reason.get(commitId);
    },

    insert({ commitId, reason }: RememberAbort): void {
      insert.run(commitId, reason);
    },
  };
}
