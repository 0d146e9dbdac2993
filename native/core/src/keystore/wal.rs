//! Keeps consumed secrets from staying in the write-ahead log, where every page ever written waits to be overwritten.

use std::cell::Cell;

use rusqlite::Connection;

use super::failure;
use crate::error::{Code, Error, Result};

/// A consumed secret has left the files after this many commits at the latest.
const MOST_COMMITS: u32 = 64;

/// Counts the commits that are in the log.
pub(super) struct Wal {
    commits: Cell<u32>,
}

impl Wal {
    /// Empties what an owner that was killed has left; if that fails, the first commit tries again.
    pub(super) fn of(connection: &Connection) -> Self {
        let wal = Wal {
            commits: Cell::new(MOST_COMMITS),
        };
        let _ = wal.empty(connection);
        wal
    }

    /// After every commit. A log that cannot be emptied now does not undo the commit: it is tried again after the next one,
    /// and `idle` and `close` report it.
    pub(super) fn committed(&self, connection: &Connection) {
        self.commits.set(self.commits.get() + 1);
        if self.commits.get() >= MOST_COMMITS {
            let _ = self.empty(connection);
        }
    }

    /// Moves everything into the database file and cuts the log to nothing. Does nothing when nothing was committed.
    pub(super) fn empty(&self, connection: &Connection) -> Result<()> {
        if self.commits.get() == 0 {
            return Ok(());
        }
        let blocked: bool = connection
            .prepare_cached("PRAGMA wal_checkpoint(TRUNCATE)")
            .and_then(|mut statement| statement.query_one([], |row| row.get(0)))
            .map_err(|error| failure::sqlite("clean the keystore's log", error))?;
        if blocked {
            return Err(Error::new(
                Code::DatabaseInUse,
                "Cannot clean the keystore's log: another program is reading its file. Nothing but one session may open it.",
            ));
        }
        self.commits.set(0);
        Ok(())
    }
}
