//! The numbered migrations. A released one is never edited.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::failure;
use crate::error::{Code, Error, Result};

/// `user_version` counts how many of them a file has seen.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_initial.sql")];

/// "Cncl": marks the file, once decrypted, as a keystore of ours.
const APPLICATION_ID: i32 = 0x436e_636c;

/// Refuses what we must not write into: `DATABASE_TOO_NEW` for a keystore of a later release, `INVALID_ARGUMENT` for
/// another program's database that happens to have the same key. Only reads.
pub(super) fn check(connection: &Connection) -> Result<()> {
    let (ours, empty) = connection
        .query_one(
            "SELECT (SELECT application_id FROM pragma_application_id), NOT EXISTS (SELECT 1 FROM sqlite_schema)",
            [],
            |row| Ok((row.get::<_, i32>(0)? == APPLICATION_ID, row.get::<_, bool>(1)?)),
        )
        .map_err(|error| failure::opening("open the keystore", error))?;
    if !ours && !empty {
        return Err(Error::invalid(
            "This file is another program's database. Give a path of its own for the keystore.",
        ));
    }
    let (found, known) = (version(connection)?, MIGRATIONS.len());
    if found > known {
        let message = format!(
            "This keystore was written by a later release (schema {found}, this one knows {known}). Update this program."
        );
        return Err(Error::new(Code::DatabaseTooNew, message));
    }
    Ok(())
}

/// Brings the schema up to date, all of it or nothing.
pub(super) fn migrate(connection: &Connection) -> Result<()> {
    let found = version(connection)?;
    if found == MIGRATIONS.len() {
        return Ok(());
    }
    apply(connection, found).map_err(|error| failure::opening("bring the keystore up to date", error))
}

fn apply(connection: &Connection, found: usize) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    for migration in &MIGRATIONS[found..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    transaction.commit()
}

fn version(connection: &Connection) -> Result<usize> {
    connection
        .query_one("PRAGMA user_version", [], |row| row.get::<_, i64>(0))
        // A negative version is no version of ours: too new is what it must lead to.
        .map(|version| usize::try_from(version).unwrap_or(usize::MAX))
        .map_err(|error| failure::opening("open the keystore", error))
}
