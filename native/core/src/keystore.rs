//! The encrypted keystore: one SQLCipher file that one session owns, and the rows in it.
//!
//! Opening takes four steps, and each may say no before the next one touches anything: the path
//! becomes the file's one real path ([`location`]), the locks beside the file and on it make us its
//! only owner ([`lock`], [`held`]), SQLCipher opens it with the key ([`connection`]), whose schema
//! is brought up to date ([`schema`]), and the number of its newest state says whether that is what
//! was found ([`counter`]). After that everything is [`Rows`]: a map in memory over one table,
//! stored when it is flushed; the write-ahead log is emptied often enough that a deleted key is
//! gone ([`wal`]).

mod connection;
mod counter;
mod entity;
mod failure;
mod files;
mod held;
mod image;
mod key;
mod location;
mod lock;
mod pending;
mod rows;
mod schema;
mod seal;
mod table;
mod verdict;
mod wal;

use std::path::Path;

pub use entity::Entity;
pub use image::Image;
pub use key::DatabaseKey;
pub use pending::Savepoint;
pub use rows::{PutAside, Rows, ScopedRow};
pub use table::Value;

use crate::error::Result;
use files::{Files, Opened};
use location::Location;

/// An open keystore. Dropping it closes it; [`close`](Keystore::close) also tells whether that went well.
///
/// `Send`, not `Sync`: one thread owns it. Pages in SQLite's cache and values on their way in and out of SQLite are not
/// wiped from memory.
pub struct Keystore {
    rows: Rows,
}

impl Keystore {
    /// Opens the keystore in this file, or creates it when there is none. Files are for their owner
    /// only (0600).
    ///
    /// Fails with `DATABASE_IN_USE` at once when it is open anywhere, `DATABASE_KEY_WRONG` when the
    /// key does not fit or the file is no keystore, `DATABASE_CORRUPT` also for a file that is
    /// empty or cut off, `DATABASE_TOO_NEW` when a later release has written it,
    /// `DATABASE_ROLLED_BACK` when its newest state is missing, `DATABASE_IO`, and
    /// `INVALID_ARGUMENT` for what cannot be a keystore's path. A failed open leaves the file as it
    /// was, no new ones, and no lock.
    pub fn open(path: impl AsRef<Path>, key: &DatabaseKey) -> Result<Self> {
        let opened = Files::open(&Location::of(path.as_ref())?, key, false)?;
        Ok(Keystore {
            rows: Rows::over(opened.connection, Some(opened.files)),
        })
    }

    /// The same, but goes on where the newest state is missing: what `accept` writes then is stored
    /// before this returns, together with the acceptance.
    pub fn open_accepting_rollback(
        path: impl AsRef<Path>,
        key: &DatabaseKey,
        accept: impl FnOnce(&Rows) -> Result<()>,
    ) -> Result<Self> {
        let Opened {
            connection,
            files,
            rolled_back,
        } = Files::open(&Location::of(path.as_ref())?, key, true)?;
        let rows = Rows::over(connection, Some(files));
        if rolled_back {
            accept(&rows)?;
            rows.flush_in_any_case()?;
        }
        Ok(Keystore { rows })
    }

    /// A keystore without a file: nothing of it is left once it is closed.
    pub fn in_memory() -> Result<Self> {
        Ok(Keystore {
            rows: Rows::over(connection::open_in_memory()?, None),
        })
    }

    /// What is in it.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Empties the log into the file, closes it and lets the next owner in. What was not flushed is
    /// dropped.
    ///
    /// The keystore is closed also when this fails; what was flushed is stored all the same, except
    /// with `DATABASE_LOST`: then it is in a file that its path does not name any more.
    pub fn close(self) -> Result<()> {
        self.rows.close()
    }
}

impl std::fmt::Debug for Keystore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keystore(..)")
    }
}
