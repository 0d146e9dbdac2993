//! Where a keystore is: one real path per file, whatever name it was opened by, and the files beside it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::failure;
use crate::error::{Code, Error, Result};

/// The longest path, in bytes: SQLite takes 512, and needs room for the names of the files beside
/// it.
const LONGEST_PATH: usize = 500;
/// What is put behind the name of a keystore while it is being created; the longest of these.
const CREATING: &str = "-creating";
/// What is put behind the name of a keystore for the files beside it.
const BESIDE: [&str; 5] = [".lock", CREATING, "-wal", "-shm", "-journal"];

/// The canonical path of a keystore's file, so that a symbolic link is the same keystore as what it points to.
pub(super) struct Location(PathBuf);

/// The files of a keystore that existed at some moment.
pub(super) struct Present(Vec<PathBuf>);

impl Location {
    /// Finds the real path; the file itself may be missing. `INVALID_ARGUMENT` when this cannot be
    /// a file's path, `DATABASE_IO` when its folder is missing or closed to us, or when something
    /// else is in the place of its log.
    pub(super) fn of(path: &Path) -> Result<Self> {
        if path.as_os_str().is_empty() || path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(Error::invalid(
                "This is not the path of a file: it is empty or contains a NUL. Give a file's path.",
            ));
        }
        if BESIDE
            .iter()
            .any(|ending| path.as_os_str().as_encoded_bytes().ends_with(ending.as_bytes()))
        {
            return Err(Error::invalid(
                "The name of a keystore cannot end in .lock, -creating, -wal, -shm or -journal: files of such names belong to another \
                 keystore beside them. Take another name.",
            ));
        }
        let real = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => return Err(failure::path_too_long()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => beside_its_folder(path)?,
            canonical => canonical.map_err(|error| failure::io("find the keystore", error))?,
        };
        if real.as_os_str().len() > LONGEST_PATH {
            return Err(failure::path_too_long());
        }
        let location = Location(real);
        location.refuse_what_is_no_file()?;
        Ok(location)
    }

    fn refuse_what_is_no_file(&self) -> Result<()> {
        match fs::symlink_metadata(&self.0) {
            Ok(found) if found.is_dir() => {
                return Err(Error::invalid(
                    "This path is a folder. Give the path of a file in it for the keystore, such as keystore.db.",
                ));
            }
            Ok(found) if !found.is_file() => {
                return Err(Error::invalid(
                    "This path is a device, a pipe or a socket, not a file. Give the path of a file for the keystore.",
                ));
            }
            _ => {}
        }
        for path in [self.log(), self.sibling("-journal"), self.creating()] {
            if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
                return Err(Error::new(
                    Code::DatabaseIo,
                    "Cannot open the keystore: a file beside it, which is named like it with \"-wal\", \"-journal\" or \
                     \"-creating\" behind, is a link, a folder or a device. Remove that.",
                ));
            }
        }
        Ok(())
    }

    pub(super) fn database(&self) -> &Path {
        &self.0
    }

    /// Whether there is a file.
    pub(super) fn exists(&self) -> bool {
        exists(&self.0)
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.sibling(".lock")
    }

    /// SQLite's write-ahead log.
    pub(super) fn log(&self) -> PathBuf {
        self.sibling("-wal")
    }

    /// Where a keystore is made before it has its name. Always the same, so that what a kill leaves
    /// there does not grow.
    pub(super) fn creating(&self) -> PathBuf {
        self.sibling(CREATING)
    }

    /// A file of which it is known where it is.
    pub(super) fn beside(path: PathBuf) -> Self {
        Location(path)
    }

    /// Deletes what SQLite keeps beside the file.
    pub(super) fn remove_side_files(&self) {
        for file in [self.log(), self.sibling("-journal")] {
            let _ = fs::remove_file(file);
        }
    }

    pub(super) fn present(&self) -> Present {
        Present(self.files().into_iter().filter(|file| exists(file)).collect())
    }

    /// Takes away what a failed open has brought. Best effort: what failed is more worth telling than this.
    pub(super) fn remove_all_but(&self, before: &Present) {
        for file in self.files().iter().filter(|file| !before.0.contains(file)) {
            let _ = fs::remove_file(file);
        }
    }

    fn files(&self) -> [PathBuf; 3] {
        [self.0.clone(), self.log(), self.sibling("-journal")]
    }

    fn sibling(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(&self.0);
        name.push(suffix);
        name.into()
    }
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Creates a file that only its owner can read; `AlreadyExists` when there is something by that
/// name.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Opens a file that is there, for reading and writing. Follows no link, waits for nobody at the
/// other end of a pipe, and answers `InvalidInput` for what is no file.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

/// What tells a file from every other one, by whatever name: device and number. Nothing on Windows,
/// where the standard library does not tell.
pub(super) type Identity = (u64, u64);

pub(super) fn identity(found: &fs::Metadata) -> Option<Identity> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Some((found.dev(), found.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = found;
        None
    }
}

/// Whether this is the file that the path names now.
pub(super) fn names(path: &Path, file: &File) -> bool {
    match (fs::symlink_metadata(path), file.metadata()) {
        (Ok(named), Ok(held)) => identity(&named) == identity(&held),
        _ => false,
    }
}

/// Best effort: some file systems know no permissions, and what is in the file is encrypted.
pub(super) fn make_private(file: &File) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open_to_others = file
            .metadata()
            .is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
        if open_to_others {
            let _ = file.set_permissions(fs::Permissions::from_mode(0o600));
        }
    }
    #[cfg(not(unix))]
    let _ = file;
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
