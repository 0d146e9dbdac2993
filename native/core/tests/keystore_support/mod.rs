//! What the keystore's tests share: a keystore in a folder of its own, its files seen from outside, and a second process.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses some of it")]

pub mod child;
pub mod pages;
pub mod random;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use conclave_core::error::{Code, Error};
use conclave_core::keystore::{DatabaseKey, Entity, Keystore};
use rusqlite::Connection;

/// The bytes of the key that the tests use; no other content has them.
pub const KEY: [u8; 32] = *b"\x9e\x37\x79\xb9\x7f\x4a\x7c\x15the key of tests\xf3\x9c\xc0\x60\x5c\xed\xc8\x35";

pub fn key() -> DatabaseKey {
    DatabaseKey::try_from(&KEY[..]).expect("32 bytes")
}

pub fn other_key() -> DatabaseKey {
    DatabaseKey::try_from(&[0x5a; 32][..]).expect("32 bytes")
}

/// A folder with room for one keystore; gone with everything in it at the end of the test.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn database(&self) -> PathBuf {
        self.path().join("alice.db")
    }

    pub fn open(&self) -> Keystore {
        Keystore::open(self.database(), &key()).expect("the keystore opens")
    }

    /// The code that opening with this key fails with.
    pub fn refusal(&self, key: &DatabaseKey) -> Code {
        refusal(self.database(), key).code()
    }

    /// Every file and its bytes.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.path())
            .expect("the folder")
            .map(|entry| entry.expect("an entry"));
        entries
            .map(|entry| {
                (
                    entry.file_name().into_string().expect("UTF-8"),
                    fs::read(entry.path()).expect("its bytes"),
                )
            })
            .collect()
    }

    pub fn names(&self) -> Vec<String> {
        self.files().into_keys().collect()
    }

    /// The file as another program that knows the key has it. Nobody else may have it open.
    pub fn other_program(&self) -> Connection {
        other_program(&self.database())
    }

    /// The files as they are now, in a folder of their own.
    pub fn copy(&self) -> Folder {
        let copy = Folder::new();
        copy.put(&self.files());
        copy
    }

    /// Makes the files these, each in its place.
    pub fn put(&self, files: &BTreeMap<String, Vec<u8>>) {
        for name in self.names().iter().filter(|name| !files.contains_key(*name)) {
            fs::remove_file(self.path().join(name)).expect("removed");
        }
        for (name, bytes) in files {
            fs::write(self.path().join(name), bytes).expect("written");
        }
    }
}

/// A file as another program that knows the key has it.
pub fn other_program(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("the file opens");
    unsafe_calls::key(&connection, &KEY).expect("it takes the key");
    connection
}

pub fn refusal(path: impl AsRef<Path>, key: &DatabaseKey) -> Error {
    Keystore::open(path, key).expect_err("a refusal")
}

/// The code of what failed.
pub fn code<T>(result: Result<T, Error>) -> Option<Code> {
    result.err().map(|error| error.code())
}

/// Some rows of every size, of two conversations and none.
pub fn fill(keystore: &Keystore) {
    let rows = keystore.rows();
    for n in 0..60u32 {
        let scope: &[u8] = [&b""[..], b"team", b"family"][n as usize % 3];
        rows.put(
            Entity::Tree,
            scope,
            &n.to_be_bytes(),
            vec![n as u8; 30 + (n as usize * 997) % 20_000],
        );
    }
    rows.flush().expect("a flush");
}

pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
