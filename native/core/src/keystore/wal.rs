//! Keeps consumed secrets from staying in the write-ahead log, where every page ever written waits to be overwritten.

use std::cell::Cell;
use std::time::Instant;

use rusqlite::Connection;

/// A consumed secret has left the files after this many commits at the latest.
const MOST_COMMITS: u32 = 64;

/// Counts the commits that are in the log, and knows since when the oldest of them is.
pub(super) struct Wal {
    commits: Cell<u32>,
    since: Cell<Option<Instant>>,
}

impl Wal {
    /// Empties what an owner that was killed has left; if that fails, the first commit tries again.
    pub(super) fn of(connection: &Connection) -> Self {
        let wal = Wal {
            commits: Cell::new(MOST_COMMITS),
            since: Cell::new(Some(Instant::now())),
        };
        let _ = wal.empty(connection);
        wal
    }

    /// Since when something is in the log that has to leave it.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since.get()
    }

    /// After every commit. A log that cannot be emptied now does not undo the commit: it is tried again after the next one,
    /// and `idle` and `close` report it.
    pub(super) fn committed(&self, connection: &Connection) {
        self.commits.set(self.commits.get().saturating_add(1));
        if self.since.get().is_none() {
            self.since.set(Some(Instant::now()));
        }
        if self.commits.get() >= MOST_COMMITS {
            let _ = self.empty(connection);
        }
    }

    /// Moves everything into the database file and cuts the log to nothing. Does nothing when
    /// nothing was committed. Answers false where another program is in the way.
    pub(super) fn empty(&self, connection: &Connection) -> rusqlite::Result<bool> {
        if self.commits.get() == 0 {
            return Ok(true);
        }
        let blocked: bool = connection
            .prepare_cached("PRAGMA wal_checkpoint(TRUNCATE)")
            .and_then(|mut statement| statement.query_one([], |row| row.get(0)))?;
        if !blocked {
            self.commits.set(0);
            self.since.set(None);
        }
        Ok(!blocked)
    }
}
