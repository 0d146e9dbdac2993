//! What SQLite and the file system answered, as the four things a caller can act on.

use std::io;

use rusqlite::ErrorCode;

use crate::error::{Code, Error};

/// A failure of SQLite while doing `what` ("read the keystore").
pub(super) fn sqlite(what: &str, error: rusqlite::Error) -> Error {
    if let rusqlite::Error::FromSqlConversionFailure(..) = error {
        return corrupt(what).caused_by(error);
    }
    let (code, reason) = match error.sqlite_error_code() {
        // "Not a database" is said of any page that fails its check. After that SQLCipher lets nothing be written, which
        // SQLite calls read-only; whether the file itself is was settled when it was opened.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ReadOnly) => {
            return corrupt(what).caused_by(error);
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            Code::DatabaseInUse,
            "another program is using its file. Nothing but one session may open it",
        ),
        Some(ErrorCode::DiskFull) => (Code::DatabaseIo, "the disk is full. Make room and try again"),
        Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => (
            Code::DatabaseIo,
            "its file or folder cannot be written. Check the permissions",
        ),
        _ => (
            Code::DatabaseIo,
            "its storage failed; the cause says how. Check the disk and open it again",
        ),
    };
    Error::new(code, format!("Cannot {what}: {reason}.")).caused_by(error)
}

/// Pages that fail their check, or contradict each other.
pub(super) fn corrupt(what: &str) -> Error {
    let reason = "its file is damaged. Start with a new one; a backup would use message keys twice";
    Error::new(Code::DatabaseCorrupt, format!("Cannot {what}: {reason}."))
}

/// A failure of the file system while doing `what`.
pub(super) fn io(what: &str, error: io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "its folder does not exist. Create it first",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "its file or folder cannot be written. Check the permissions"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full. Make room and try again",
        _ => "the file system refused; the cause says why",
    };
    Error::new(Code::DatabaseIo, format!("Cannot {what}: {advice}.")).caused_by(error)
}
