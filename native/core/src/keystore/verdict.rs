//! Damage is told only when it was seen twice. One read that fails for a moment looks the same:
//! SQLite calls it corrupt, and SQLCipher, where it was the first read, a wrong key.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::failure;
use crate::error::{Code, Result};

/// The answer of `open`, which opens the keystore in this file. Where it says that the file is
/// damaged, or the key wrong, it is asked once more, and what it says then counts; unless the file
/// cannot be read at all, which is `DATABASE_IO`.
pub(super) fn confirmed<T>(path: &Path, open: impl Fn() -> Result<T>) -> Result<T> {
    let verdict = open();
    let most = match verdict.as_ref().err().map(|error| error.code()) {
        Some(Code::DatabaseCorrupt) => u64::MAX,
        Some(Code::DatabaseKeyWrong) => 4096,
        _ => return verdict,
    };
    read(path, most).map_err(|error| failure::io("open the keystore", error))?;
    open()
}

/// Reads so many bytes of the file.
fn read(path: &Path, most: u64) -> io::Result<()> {
    io::copy(&mut File::open(path)?.take(most), &mut io::sink()).map(drop)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::error::Error;

    #[test]
    fn what_is_said_once_and_not_again_is_not_told() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for code in [Code::DatabaseCorrupt, Code::DatabaseKeyWrong] {
            let (asked, says) = (Cell::new(0), |times| move |asked: &Cell<i32>| asked.get() <= times);
            let answer = |is_bad: &dyn Fn(&Cell<i32>) -> bool| {
                confirmed(file.path(), || {
                    asked.set(asked.get() + 1);
                    if is_bad(&asked) {
                        Err(Error::new(code, "bad"))
                    } else {
                        Ok(())
                    }
                })
                .map_err(|error| error.code())
            };
            assert_eq!(answer(&says(1)), Ok(()), "the second answer counts");
            asked.set(0);
            assert_eq!(answer(&says(2)), Err(code), "it was confirmed");
            assert_eq!(asked.get(), 2);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_called_damaged() {
        let folder = tempfile::tempdir().expect("a folder");
        let damaged = || -> Result<()> { Err(Error::new(Code::DatabaseCorrupt, "bad")) };
        let error = confirmed(&folder.path().join("gone.db"), damaged).expect_err("it is not there");
        assert_eq!(error.code(), Code::DatabaseIo);
    }
}
