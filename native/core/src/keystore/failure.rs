//! What SQLite and the file system answered, as the four things a caller can act on. Damage is a
//! verdict of an open alone.

use std::io;

use rusqlite::ErrorCode;

use crate::error::{Code, Error};

/// A failure of SQLite while opening the keystore, as `what` ("open the keystore"). Here a damaged
/// page is damage: [`confirmed`](super::verdict::confirmed) has it read once more before anybody is
/// told.
pub(super) fn opening(what: &str, error: rusqlite::Error) -> Error {
    // Nothing was wrong with a page yet: its folder cannot be written.
    let is_read_only = error.sqlite_error_code() == Some(ErrorCode::ReadOnly);
    if is_of_a_page(&error) && !is_read_only {
        return corrupt(what).caused_by(error);
    }
    other(what, error)
}

/// A failure of SQLite while the keystore is open and does `what` ("read the keystore"). A page
/// that could not be read whole is a failed read: whether the file is damaged is for the next open
/// to say.
pub(super) fn running(what: &str, error: rusqlite::Error) -> Error {
    if is_of_a_page(&error) {
        let message = format!(
            "Cannot {what}: a page of its file could not be read whole. Close the database and open it again: that tells \
             whether the file is damaged, or whether only this read has failed."
        );
        return Error::new(Code::DatabaseIo, message).caused_by(error);
    }
    other(what, error)
}

/// Whether a page of the file was not what it should be: not read, not authentic, or in
/// contradiction to others.
///
/// SQLite calls a read that failed on the device "corrupt", and SQLCipher calls every page that
/// fails its check "not a database". After that SQLCipher lets nothing be written, which SQLite
/// calls read-only; whether the file itself is was settled when it was opened.
pub(super) fn is_of_a_page(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ReadOnly)
    )
}

fn other(what: &str, error: rusqlite::Error) -> Error {
    let (code, reason) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            Code::DatabaseInUse,
            "another program is using its file. Nothing but one session may open it",
        ),
        Some(ErrorCode::DiskFull) => (Code::DatabaseIo, "the disk is full. Make room and try again"),
        Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => (
            Code::DatabaseIo,
            "its file or folder cannot be written. Check the permissions",
        ),
        _ => (
            Code::DatabaseIo,
            "its storage failed; the cause says how. Check the disk, close the database and open it again",
        ),
    };
    Error::new(code, format!("Cannot {what}: {reason}.")).caused_by(error)
}

/// Pages that fail their check, or contradict each other, when the keystore is opened.
pub(super) fn corrupt(what: &str) -> Error {
    let reason = "its file is damaged. Start with a new one; a backup would use message keys twice";
    Error::new(Code::DatabaseCorrupt, format!("Cannot {what}: {reason}."))
}

/// A failure of the file system while doing `what`.
pub(super) fn io(what: &str, error: io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::InvalidFilename => return path_too_long().caused_by(error),
        io::ErrorKind::NotFound => "its folder does not exist. Create it first",
        io::ErrorKind::NotADirectory => "what its path calls a folder is a file. Check the path",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "its file or folder cannot be written. Check the permissions"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full. Make room and try again",
        _ => "the file system refused; the cause says why",
    };
    Error::new(Code::DatabaseIo, format!("Cannot {what}: {advice}.")).caused_by(error)
}

/// A path that the file system, or SQLite, does not take.
pub(super) fn path_too_long() -> Error {
    Error::invalid(
        "The path is too long for a keystore: 500 bytes are the most, and the file's name needs room for nine more, since there \
         are files beside it with longer names. Take a shorter one.",
    )
}
