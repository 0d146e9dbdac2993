//! The keystore's own file, locked and watched for as long as it is open.
//!
//! A lock is on what it protects: whoever comes by another name of the file (a bind mount, a hard
//! link), or after the lock file was deleted, is refused by the file itself. And the file must stay
//! what its path says: what is stored in a file that was deleted, renamed or replaced is found by
//! nobody, so nothing may be handed out as stored after that.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::failure;
use super::location::{Identity, create_private, identity, make_private, open_regular};
use super::lock::in_use;
use crate::error::{Code, Error, Result};

/// The open and locked file. To be dropped after SQLite has closed it: on Unix, closing any
/// descriptor of a file drops the locks that SQLite has on it.
pub(super) struct Held {
    path: PathBuf,
    file: File,
    _here: Here,
    /// SQLite's log, once it is there.
    log: OnceCell<(PathBuf, Identity)>,
    lost: Cell<bool>,
}

impl Held {
    /// Opens and locks the file that this path names. Fails with `DATABASE_IN_USE` at once when it
    /// is open by any name, here or in another process.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let here = Here::claim(path)?;
        let file = open_regular(path).map_err(|error| failure::io("open the keystore's file", error))?;
        Held::lock(path, file, here)
    }

    /// Creates an empty file and locks it.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = create_private(path).map_err(|error| failure::io("create the keystore", error))?;
        Held::lock(path, file, Here::claim(path)?)
    }

    fn lock(path: &Path, file: File, here: Here) -> Result<Self> {
        match unsafe_calls::lock_file(&file) {
            Ok(true) => {}
            Ok(false) => return Err(in_use()),
            // The system knows no such locks. SQLite's own, and the lock file, keep others out.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(error) => return Err(failure::io("lock the keystore", error)),
        }
        let held = Held {
            path: path.to_owned(),
            file,
            _here: here,
            log: OnceCell::new(),
            lost: Cell::new(false),
        };
        // It was renamed or replaced while it was opened.
        if held
            .is_there()
            .map_err(|error| failure::io("open the keystore", error))?
        {
            Ok(held)
        } else {
            Err(in_use())
        }
    }

    /// Its length, in bytes.
    pub(super) fn length(&self) -> Result<u64> {
        let found = self.file.metadata();
        Ok(found.map_err(|error| failure::io("open the keystore", error))?.len())
    }

    /// `INVALID_ARGUMENT` when it has another name. SQLite keeps its log beside the name by which
    /// the file is opened: by the other name what is in the log would be missing, and it would be
    /// played back over newer pages later.
    pub(super) fn refuse_second_name(&self) -> Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let found = self.file.metadata();
            if found.map_err(|error| failure::io("open the keystore", error))?.nlink() > 1 {
                return Err(Error::invalid(
                    "This keystore has a second name (a hard link, as some backups make them), by which it could be opened without \
                     its log. Remove the other name, or copy the file and put the copy into its place.",
                ));
            }
        }
        Ok(())
    }

    /// Only its owner can read it from now on, nor what SQLite has put beside it.
    pub(super) fn make_private(&self) {
        make_private(&self.file);
        if let Some(log) = self.log.get().and_then(|(path, _)| open_regular(path).ok()) {
            make_private(&log);
        }
    }

    /// From now on the log is watched as well.
    pub(super) fn watch_log(&self, path: PathBuf) {
        let found = fs::symlink_metadata(&path).ok();
        if let Some(identity) = found.and_then(|found| identity(&found)) {
            let _ = self.log.set((path, identity));
        }
    }

    /// Puts the file, which was created by another name, into its place, for good. The place must
    /// be free.
    pub(super) fn move_to(&mut self, place: &Path) -> Result<()> {
        let moved = self.file.sync_all().and_then(|()| {
            match fs::symlink_metadata(place) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
                Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            }
            fs::rename(&self.path, place)?;
            self.path = place.to_owned();
            sync_folder(place)
        });
        moved.map_err(|error| failure::io("create the keystore", error))
    }

    /// Deletes the file, if it still is what its path says.
    pub(super) fn remove(&self) {
        if self.is_there().unwrap_or(false) {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// `DATABASE_LOST` once the file, or its log, is not any more what its path says; and so for
    /// ever, even if it comes back: what was done meanwhile is not known.
    pub(super) fn refuse_when_lost(&self) -> Result<()> {
        if !self.lost.get() {
            let there = self
                .is_there()
                .map_err(|error| failure::io("look for the keystore", error))?;
            self.lost.set(!there);
        }
        if self.lost.get() { Err(lost()) } else { Ok(()) }
    }

    fn is_there(&self) -> io::Result<bool> {
        if !names_it(&self.path, identity(&self.file.metadata()?))? {
            return Ok(false);
        }
        match self.log.get() {
            Some((path, identity)) => names_it(path, Some(*identity)),
            None => Ok(true),
        }
    }
}

impl Drop for Held {
    /// Ends the lock by name: a child process that is being started may have the open file a moment longer.
    fn drop(&mut self) {
        unsafe_calls::unlock_file(&self.file);
    }
}

/// Whether the path names this file, and by no link. On Windows nothing is compared: a file that
/// SQLite has open there can be neither deleted nor renamed.
fn names_it(path: &Path, held: Option<Identity>) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(identity(&found) == held),
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A name is on the disk once its folder is.
fn sync_folder(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

fn lost() -> Error {
    Error::new(
        Code::DatabaseLost,
        "The keystore's file, or the log beside it, was deleted, renamed or replaced while it was open, and what is stored in it \
         now is found by nobody. Nothing more is stored, and so nothing is encrypted or received. Close it, and open the file where it is now; \
         where it is gone, a new client with a new keystore has to join again.",
    )
}

/// The files that are open in this process. A second opener must not even open its file and close
/// it again: that would drop the locks which SQLite has on it for the first one.
struct Here(Option<Identity>);

static OPEN_HERE: Mutex<BTreeSet<Identity>> = Mutex::new(BTreeSet::new());

impl Here {
    fn claim(path: &Path) -> Result<Self> {
        let found = fs::symlink_metadata(path).map_err(|error| failure::io("open the keystore", error))?;
        let Some(identity) = identity(&found) else {
            return Ok(Here(None));
        };
        let mut open = OPEN_HERE.lock().unwrap_or_else(PoisonError::into_inner);
        if open.insert(identity) {
            Ok(Here(Some(identity)))
        } else {
            Err(in_use())
        }
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        if let Some(identity) = &self.0 {
            OPEN_HERE
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(identity);
        }
    }
}
