//! The lock file beside the keystore: the first thing that is taken, and the place of the
//! [counter](super::counter).
//!
//! It says early and cheaply that a keystore is open, and makes one opener at a time create it.
//! What the keystore is really protected by is the lock on its own file ([`held`](super::held)):
//! this one may be deleted by anybody. It stays when the keystore is closed, and the lock on it
//! dies with its holder, however that ends.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::location::{create_private, names, open_regular};
use super::{counter, failure};
use crate::error::{Code, Error, Result};

/// How often it is tried again when the file comes and goes meanwhile.
const ATTEMPTS: u32 = 100;

/// Held as long as the keystore is open.
pub(super) struct Lock {
    path: PathBuf,
    file: File,
    is_new: bool,
}

impl Lock {
    /// Takes the lock, or fails at once with `DATABASE_IN_USE`. Never waits. What is no file is not
    /// opened: `DATABASE_IO`.
    pub(super) fn acquire(path: PathBuf) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let Some((file, is_new)) = open(&path)? else { continue };
            match file.try_lock() {
                Ok(()) if names(&path, &file) => {
                    refuse_what_is_no_lock_file(&file)?;
                    return Ok(Lock { path, file, is_new });
                }
                // It was deleted while we opened it: what we hold locks nobody out.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(in_use()),
                Err(TryLockError::Error(error)) => return Err(failure::io("lock the keystore", error)),
            }
        }
        Err(in_use())
    }

    /// What is locked.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The open has failed: a lock file that it has brought goes, unless another one has taken its
    /// place.
    pub(super) fn take_back(self) {
        if self.is_new && cfg!(unix) && names(&self.path, &self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Lock {
    /// Ends the lock by name: a child process that is being started may have the open file a moment
    /// longer.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Something of the user has this name: it is not written over.
fn refuse_what_is_no_lock_file(file: &File) -> Result<()> {
    if counter::may_be_written_to(file) {
        return Ok(());
    }
    Err(Error::new(
        Code::DatabaseIo,
        "Cannot lock the keystore: the file of its name with \".lock\" behind is something else. Move that file, or take another name for \
         the keystore.",
    ))
}

/// The file, and whether it was created now; nothing where it has come or gone between two looks.
fn open(path: &Path) -> Result<Option<(File, bool)>> {
    let opened = match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(Error::new(
                Code::DatabaseIo,
                "Cannot lock the keystore: its lock file, which is named like it with \".lock\" behind, is a link, a folder or a \
                 device. Remove that.",
            ));
        }
        Ok(_) => open_regular(path).map(|file| Some((file, false))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_private(path).map(|file| Some((file, true))),
        Err(error) => Err(error),
    };
    match opened {
        Err(error) if [io::ErrorKind::AlreadyExists, io::ErrorKind::NotFound].contains(&error.kind()) => Ok(None),
        opened => opened.map_err(|error| failure::io("open the lock file in the keystore's folder", error)),
    }
}

/// What is said to a second opener.
pub(super) fn in_use() -> Error {
    Error::new(
        Code::DatabaseInUse,
        "This keystore is open already, here or in another process. Close it there first.",
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Lock;

    #[cfg(unix)]
    #[test]
    fn a_lock_file_that_is_not_its_own_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("alice.db.lock");
        for deleted in [false, true] {
            let lock = Lock::acquire(path.clone()).expect("is free");
            if deleted {
                fs::remove_file(&path).expect("removed");
                fs::write(&path, b"another one's").expect("written");
            }
            lock.take_back();
            assert_eq!(path.exists(), deleted);
        }
    }
}
