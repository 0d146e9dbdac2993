//! Opens SQLCipher so that nothing is readable, nothing is lost, and a wrong key is a wrong key.

use std::path::Path;
use std::sync::Once;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{DatabaseKey, failure, schema};
use crate::error::{Code, Error, Result};

/// Opens the keystore in this file, which exists, with this key.
///
/// Nothing is written before the key has proven right, the schema known, every page whole and
/// `may_be_written` content. `DATABASE_KEY_WRONG` when the first page does not authenticate: a
/// damaged first page, and a file that is no keystore at all, cannot be told from a wrong key.
/// `DATABASE_CORRUPT`, `DATABASE_TOO_NEW`, `DATABASE_IO` otherwise.
pub(super) fn open<T>(
    path: &Path,
    key: &DatabaseKey,
    may_be_written: impl FnOnce(&Connection) -> Result<T>,
) -> Result<(Connection, T)> {
    let connection = keyed(path, key)?;
    // Closing must not write what a failed open has only looked at. Undone below.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(opening)?;
    read_first_page(&connection)?;
    schema::check(&connection)?;
    configure(&connection)?;
    check_pages(&connection)?;
    let found = may_be_written(&connection)?;
    write_ahead(&connection)?;
    schema::migrate(&connection)?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .map_err(opening)?;
    Ok((connection, found))
}

/// Makes a new keystore of this empty file. It is not on the disk yet when this returns, and no
/// other file is left.
pub(super) fn create(path: &Path, key: &DatabaseKey) -> Result<()> {
    let connection = keyed(path, key)?;
    configure(&connection)?;
    connection
        .query_one("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))
        .map_err(creating)?;
    schema::migrate(&connection)?;
    write_ahead(&connection)?;
    connection.close().map_err(|(_, error)| creating(error))
}

/// Opens the file for us alone. Exclusive mode comes before the first read, so that SQLite never
/// lets its lock go, and keeps the log's index in memory instead of in a shared file.
fn keyed(path: &Path, key: &DatabaseKey) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    begin();
    let connection = Connection::open_with_flags(path, flags).map_err(opening)?;
    quiet(&connection)?;
    if connection.is_readonly("main").map_err(opening)? {
        return Err(Error::new(
            Code::DatabaseIo,
            "Cannot open the keystore: its file cannot be written. Check the permissions.",
        ));
    }
    unsafe_calls::key(&connection, key.bytes()).map_err(opening)?;
    connection
        .execute_batch("PRAGMA cipher_compatibility = 4; PRAGMA locking_mode = EXCLUSIVE")
        .map_err(opening)?;
    Ok(connection)
}

fn write_ahead(connection: &Connection) -> Result<()> {
    let mode: String = connection
        .query_one("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(opening)?;
    if mode == "wal" {
        return Ok(());
    }
    Err(Error::new(
        Code::DatabaseIo,
        "Cannot open the keystore: its file system cannot keep a write-ahead log. Use a local disk.",
    ))
}

/// A keystore that is gone when it is closed; no key, no file.
pub(super) fn open_in_memory() -> Result<Connection> {
    begin();
    let connection = Connection::open_in_memory().map_err(opening)?;
    quiet(&connection)?;
    configure(&connection)?;
    schema::migrate(&connection)?;
    Ok(connection)
}

/// Starts SQLite and SQLCipher, once in a process. SQLite calls itself started before its extensions have begun: of two threads
/// that open the first databases of a process, the second one would find no SQLCipher, now and then.
fn begin() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        // What fails here fails again, and is told, at the real opening. The key makes OpenSSL begin, too.
        let _ = Connection::open_in_memory().and_then(|connection| unsafe_calls::key(&connection, &[0; 32]));
        unsafe_calls::exit_waits();
    });
}

/// SQLCipher logs to stderr when a key is wrong: not in a library. And a build that linked a plain SQLite by accident,
/// which would ignore the key and write everything readable, ends here.
fn quiet(connection: &Connection) -> Result<()> {
    connection
        .execute_batch("PRAGMA cipher_log_level = NONE")
        .map_err(opening)?;
    match connection.query_one("PRAGMA cipher_version", [], |row| row.get::<_, String>(0)) {
        Ok(version) if !version.is_empty() => Ok(()),
        _ => Err(Error::internal(
            "this build has no SQLCipher, so that the keystore would not be encrypted",
        )),
    }
}

fn read_first_page(connection: &Connection) -> Result<()> {
    let wrong_key = || {
        Error::new(
            Code::DatabaseKeyWrong,
            "This key does not open the keystore. Give the key it was created with; if that is the one, the path is another \
             file's, or the beginning of the file is damaged.",
        )
    };
    match connection.query_one("PRAGMA schema_version", [], |_| Ok(())) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Err(wrong_key().caused_by(error)),
        read => read.map_err(opening),
    }
}

/// Reads every page (3 ms per MB), so that damage is found now and not in the middle of a commit.
fn check_pages(connection: &Connection) -> Result<()> {
    let found: String = connection
        .query_one("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(opening)?;
    if found == "ok" {
        Ok(())
    } else {
        Err(failure::corrupt("open the keystore"))
    }
}

/// On every open: none of these is remembered in the file.
///
/// FULL, because a commit that a power cut takes back would use message keys twice. No memory map: pages would be read past
/// SQLCipher's cipher. `fullfsync` is macOS' real fsync and nothing elsewhere. 8 MiB of cache at most, since a page that is not
/// in it has to be decrypted. No waiting for locks: we are the only owner.
fn configure(connection: &Connection) -> Result<()> {
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL;
             PRAGMA fullfsync = ON;
             PRAGMA checkpoint_fullfsync = ON;
             PRAGMA secure_delete = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA trusted_schema = OFF;
             PRAGMA cell_size_check = ON;
             PRAGMA mmap_size = 0;
             PRAGMA cache_size = -8192;
             PRAGMA busy_timeout = 0;",
        )
        .and_then(|()| {
            connection
                .set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)
                .map(drop)
        })
        .map_err(opening)
}

fn opening(error: rusqlite::Error) -> Error {
    failure::opening("open the keystore", error)
}

fn creating(error: rusqlite::Error) -> Error {
    failure::opening("create the keystore", error)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::DatabaseKey;
    use super::*;

    #[test]
    fn the_second_open_is_as_careful_as_the_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().canonicalize().expect("its real path").join("alice.db");
        fs::write(&path, b"").expect("an empty file");
        let key = DatabaseKey::try_from(&[7; 32][..]).expect("32 bytes");
        create(&path, &key).expect("is made");
        for _ in 0..2 {
            let (connection, ()) = open(&path, &key, |_| Ok(())).expect("opens");
            let is = |pragma: &str| {
                let sql = format!("SELECT CAST({pragma} AS text) FROM pragma_{pragma}");
                connection
                    .query_one(&sql, [], |row| row.get::<_, String>(0))
                    .expect("a value")
            };
            assert_eq!(is("journal_mode"), "wal");
            assert_eq!(is("locking_mode"), "exclusive");
            assert_eq!(is("synchronous"), "2", "FULL");
            assert_eq!(is("fullfsync"), "1");
            assert_eq!(is("checkpoint_fullfsync"), "1");
            assert_eq!(is("secure_delete"), "1");
            assert_eq!(is("temp_store"), "2", "MEMORY");
            assert_eq!(is("trusted_schema"), "0");
            assert_eq!(is("cell_size_check"), "1");
        }
    }
}
