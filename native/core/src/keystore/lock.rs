//! One owner per keystore: an operating-system lock on `<file>.lock`.
//!
//! On a file of its own, because SQLite's locks on the database file vanish when anything in the process closes that
//! file. The lock belongs to the open file: a second opener in the same process is refused too, and it dies with its holder,
//! however that ends.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::failure;
use super::location::create_private;
use crate::error::{Code, Error, Result};

/// Held as long as the keystore is open.
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock, or fails at once with `DATABASE_IN_USE`. Never waits.
    pub(super) fn acquire(path: PathBuf) -> Result<Self> {
        loop {
            let file = open(&path).map_err(|error| failure::io("lock the keystore", error))?;
            match file.try_lock() {
                Ok(()) if names(&path, &file) => return Ok(Lock { path, _file: file }),
                Ok(()) => continue, // Its last owner removed it while we opened it: what we hold locks nobody out.
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(
                        Code::DatabaseInUse,
                        "This keystore is open already, here or in another process. Close it there first.",
                    ));
                }
                Err(TryLockError::Error(error)) => return Err(failure::io("lock the keystore", error)),
            }
        }
    }
}

impl Drop for Lock {
    /// Removes the file while it is still locked: whoever opened it before finds that it has lost its name and starts again.
    /// Where that cannot be seen, it stays; an unlocked file stops nobody.
    fn drop(&mut self) {
        if cfg!(unix) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    match create_private(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match File::options().write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => open(path), // removed between the two
            opened => opened,
        },
        created => created,
    }
}

#[cfg(unix)]
fn names(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::metadata(path), file.metadata()) {
        (Ok(named), Ok(held)) => (named.dev(), named.ino()) == (held.dev(), held.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn names(_: &Path, _: &File) -> bool {
    true
}
