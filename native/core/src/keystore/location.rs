//! Where a keystore is: one real path per file, whatever name it was opened by, and the files beside it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::failure;
use crate::error::{Error, Result};

/// The canonical path of a keystore's file, so that a symbolic link is the same keystore as what it points to.
pub(super) struct Location(PathBuf);

/// The files of a keystore that existed at some moment.
pub(super) struct Present(Vec<PathBuf>);

impl Location {
    /// Finds the real path; the file itself may be missing. `INVALID_ARGUMENT` when this cannot be a file's path,
    /// `DATABASE_IO` when its folder is missing or closed to us.
    pub(super) fn of(path: &Path) -> Result<Self> {
        if path.as_os_str().is_empty() || path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(Error::invalid(
                "This is not the path of a file: it is empty or contains a NUL. Give a file's path.",
            ));
        }
        let real = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => beside_its_folder(path)?,
            canonical => canonical.map_err(|error| failure::io("find the keystore", error))?,
        };
        match fs::metadata(&real) {
            Ok(found) if !found.is_file() => Err(Error::invalid(
                "This path is a folder or a device, not a file. Give the path of a file for the keystore.",
            )),
            Ok(found) if has_other_names(&found) => Err(Error::invalid(
                "This keystore has a second name (a hard link), under which it could be opened twice. Copy the file instead.",
            )),
            _ => Ok(Location(real)),
        }
    }

    pub(super) fn database(&self) -> &Path {
        &self.0
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.sibling(".lock")
    }

    /// Makes sure that the file exists and that only its owner can read it. SQLite gives `-wal` and `-shm` the same mode.
    pub(super) fn create(&self) -> Result<()> {
        match create_private(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                make_private(&self.0);
                Ok(())
            }
            created => created
                .map(drop)
                .map_err(|error| failure::io("create the keystore", error)),
        }
    }

    pub(super) fn present(&self) -> Present {
        Present(self.files().into_iter().filter(|file| file.exists()).collect())
    }

    /// Takes away what a failed open has brought. Best effort: what failed is more worth telling than this.
    pub(super) fn remove_all_but(&self, before: &Present) {
        for file in self.files().iter().filter(|file| !before.0.contains(file)) {
            let _ = fs::remove_file(file);
        }
    }

    fn files(&self) -> [PathBuf; 4] {
        [
            self.0.clone(),
            self.sibling("-wal"),
            self.sibling("-shm"),
            self.sibling("-journal"),
        ]
    }

    fn sibling(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(&self.0);
        name.push(suffix);
        name.into()
    }
}

/// Creates a file that only its owner can read; `AlreadyExists` when there is one.
pub(super) fn create_private(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The path of a file that does not exist yet.
fn beside_its_folder(path: &Path) -> Result<PathBuf> {
    if path.is_symlink() {
        return Err(Error::invalid(
            "This path is a symbolic link to nothing. Create the folder it points into, or remove it.",
        ));
    }
    let Some(name) = path.file_name() else {
        return Err(Error::invalid(
            "This path does not end in a file's name. Give the path of a file for the keystore.",
        ));
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let folder = fs::canonicalize(folder).map_err(|error| failure::io("create the keystore", error))?;
    Ok(folder.join(name))
}

/// Best effort: some file systems know no permissions, and what is in the file is encrypted.
fn make_private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open_to_others = fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
        if open_to_others {
            let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o600));
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

#[cfg(unix)]
fn has_other_names(file: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(file) > 1
}

#[cfg(not(unix))]
fn has_other_names(_: &fs::Metadata) -> bool {
    false
}
