//! The encrypted keystore: one SQLCipher file that one session owns, and the rows in it.
//!
//! Opening takes three steps, and each may say no before the next one touches anything: the path becomes the file's one
//! real path ([`location`]), the lock beside it makes us its only owner ([`lock`]), and SQLCipher opens it with the key
//! ([`connection`]), whose schema is brought up to date ([`schema`]). After that everything is [`Rows`]: a map in memory
//! over one table, stored when it is flushed; the write-ahead log is emptied often enough that a deleted key is gone
//! ([`wal`]).

mod connection;
mod entity;
mod failure;
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
use location::Location;
use lock::Lock;

/// An open keystore. Dropping it closes it; [`close`](Keystore::close) also tells whether that went well.
///
/// `Send`, not `Sync`: one thread owns it. Pages in SQLite's cache and values on their way in and out of SQLite are not
/// wiped from memory.
pub struct Keystore {
    rows: Rows,
    /// After `rows`, so that the file is closed before another owner is let in. None in memory.
    lock: Option<Lock>,
}

impl Keystore {
    /// Opens the keystore in this file, or creates it when the file is missing or empty. Files are for their owner only (0600).
    ///
    /// Fails with `DATABASE_IN_USE` at once when it is open anywhere, `DATABASE_KEY_WRONG` when the key does not fit or the
    /// file is no keystore, `DATABASE_CORRUPT`, `DATABASE_TOO_NEW` when a later release has written it, `DATABASE_IO`, and
    /// `INVALID_ARGUMENT` for what cannot be a file's path. A failed open leaves the file as it was, no new ones, and no lock.
    pub fn open(path: impl AsRef<Path>, key: &DatabaseKey) -> Result<Self> {
        let location = Location::of(path.as_ref())?;
        let lock = Lock::acquire(location.lock())?;
        let before = location.present();
        let connection = location
            .create()
            .and_then(|()| verdict::confirmed(location.database(), || connection::open(location.database(), key)));
        if connection.is_err() {
            location.remove_all_but(&before);
        }
        Ok(Keystore {
            rows: Rows::over(connection?),
            lock: Some(lock),
        })
    }

    /// A keystore without a file: nothing of it is left once it is closed.
    pub fn in_memory() -> Result<Self> {
        Ok(Keystore {
            rows: Rows::over(connection::open_in_memory()?),
            lock: None,
        })
    }

    /// What is in it.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Empties the log into the file, closes it and lets the next owner in. What was not flushed is dropped.
    ///
    /// The keystore is closed also when this fails; what was flushed is stored all the same.
    pub fn close(self) -> Result<()> {
        let closed = self.rows.close();
        drop(self.lock);
        closed
    }
}

impl std::fmt::Debug for Keystore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keystore(..)")
    }
}
