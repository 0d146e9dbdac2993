//! How often a keystore was stored, kept twice: in the database, and outside SQLite's log in the
//! lock file.
//!
//! When the log was deleted or damaged, or an older file was put back, the number in the lock file
//! is ahead of the one in the database, and so tells that the newest state is missing. It is never
//! ahead otherwise: it is written after the commit is on the disk. It needs no sync of its own,
//! since it only ever tells too little. Whoever restores both files together is not found out.
//!
//! A record is authenticated under a key that comes from the database's key, and names the database
//! by its random identity: the lock file of another keystore, or one that somebody has written,
//! says nothing.

use std::cell::Cell;
use std::fs::File;
use std::io;

use hmac::{Hmac, Mac};
use rusqlite::Connection;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::DatabaseKey;
use crate::error::{Code, Error, Result};

/// What begins a record.
const MARK: &[u8; 8] = b"CnclNum1";
const NUMBER: usize = MARK.len() + 8;
const RECORD: usize = NUMBER + 32;
/// Two records take turns, in sectors of their own: one that was cut off leaves the one before.
const PLACES: [u64; 2] = [0, 512];
/// Where the records of keystores are kept that this file was the lock file of before: an old copy of one of them may come
/// back.
const FORMER: [u64; 14] = [
    1024, 1536, 2048, 2560, 3072, 3584, 4096, 4608, 5120, 5632, 6144, 6656, 7168, 7680,
];

/// The number of an open keystore.
pub(super) struct Counter {
    mac: Hmac<Sha256>,
    /// The newest number that is known.
    newest: Cell<u64>,
}

impl Counter {
    /// Reads both numbers. Fails with `DATABASE_ROLLED_BACK` when the lock file has the newer one,
    /// unless the caller accepts that; then the next number is newer than both. Answers whether it
    /// was so.
    pub(super) fn of(connection: &Connection, lock: &File, key: &DatabaseKey, accept: bool) -> Result<(Self, bool)> {
        let (identity, stored) = connection
            .query_one("SELECT identity, number FROM states", [], |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
            })
            .map_err(|error| super::failure::opening("open the keystore", error))?;
        let mac = mac(key, &identity);
        let outside = PLACES.iter().chain(&FORMER);
        let outside = outside.filter_map(|place| read(lock, *place, &mac)).max();
        let is_behind = outside.is_some_and(|outside| outside > stored);
        if is_behind && !accept {
            return Err(rolled_back());
        }
        let newest = Cell::new(stored.max(outside.unwrap_or(0)));
        Ok((Counter { mac, newest }, is_behind))
    }

    /// Another keystore was at this path, and its newest records give way now: they are kept, so that an old copy of it is
    /// still found out. To be called before the first [`note`](Counter::note). When all places are taken the last is taken
    /// again.
    pub(super) fn keep_former(&self, lock: &File) {
        for place in PLACES {
            let Some(record) = record_at(lock, place) else { continue };
            if number_of(&record, &self.mac).is_some() {
                continue;
            }
            let kept: Vec<_> = FORMER.iter().map(|place| record_at(lock, *place)).collect();
            if kept.contains(&Some(record)) {
                continue;
            }
            let free = kept.iter().position(Option::is_none).unwrap_or(FORMER.len() - 1);
            let _ = write_at(lock, &record, FORMER[free]);
        }
    }

    /// Within a transaction: the number of the state that it makes.
    pub(super) fn advance(&self, transaction: &Connection) -> rusqlite::Result<u64> {
        let number = self.newest.get() + 1;
        transaction
            .prepare_cached("UPDATE states SET number = ?1")?
            .execute([number.cast_signed()])?;
        Ok(number)
    }

    /// The transaction with this number is on the disk.
    pub(super) fn stored(&self, number: u64, lock: &File) {
        self.newest.set(number);
        self.note(lock);
    }

    /// Writes the number into the lock file. Where that fails, the lock file tells less than it
    /// could.
    pub(super) fn note(&self, lock: &File) {
        let number = self.newest.get();
        let mut record = [0; RECORD];
        record[..MARK.len()].copy_from_slice(MARK);
        record[MARK.len()..NUMBER].copy_from_slice(&number.to_be_bytes());
        let tag = self.mac.clone().chain_update(&record[..NUMBER]).finalize();
        record[NUMBER..].copy_from_slice(&tag.into_bytes());
        let _ = write_at(lock, &record, PLACES[usize::from(number % 2 == 1)]);
    }
}

/// Whether this is a lock file, or empty. A record that was cut off or damaged is one all the same.
pub(super) fn may_be_written_to(file: &File) -> bool {
    let Ok(length) = file.metadata().map(|found| found.len()) else {
        return true;
    };
    let begins = |place| {
        let mut mark = [0; MARK.len()];
        read_at(file, &mut mark, place).is_ok_and(|()| mark == *MARK || mark == [0; MARK.len()])
    };
    length < RECORD as u64 || PLACES.iter().any(|place| begins(*place))
}

/// Keyed for the records of one keystore.
fn mac(key: &DatabaseKey, identity: &[u8]) -> Hmac<Sha256> {
    let keyed = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    let derived = keyed(key.bytes())
        .chain_update(b"conclave-mls counter")
        .chain_update(identity);
    let derived: Zeroizing<[u8; 32]> = Zeroizing::new(derived.finalize().into_bytes().into());
    keyed(&*derived)
}

fn read(lock: &File, place: u64, mac: &Hmac<Sha256>) -> Option<u64> {
    number_of(&record_at(lock, place)?, mac)
}

/// What stands there, if it is a record of any keystore.
fn record_at(lock: &File, place: u64) -> Option<[u8; RECORD]> {
    let mut record = [0; RECORD];
    read_at(lock, &mut record, place).ok()?;
    record.starts_with(MARK).then_some(record)
}

/// The number in a record of the keystore with this key.
fn number_of(record: &[u8; RECORD], mac: &Hmac<Sha256>) -> Option<u64> {
    let (content, tag) = record.split_at(NUMBER);
    mac.clone().chain_update(content).verify_slice(tag).ok()?;
    let number = content.strip_prefix(MARK)?.try_into().ok()?;
    Some(u64::from_be_bytes(number))
}

fn rolled_back() -> Error {
    Error::new(
        Code::DatabaseRolledBack,
        "The newest state of this keystore is missing: an older file was put back, or its log was deleted or damaged. Put the \
         newest files back. If they are lost, open it with acceptRollback: every conversation has to renew its keys then.",
    )
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], place: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, place)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], place: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, place)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], place: u64) -> io::Result<()> {
    match std::os::windows::fs::FileExt::seek_read(file, bytes, place)? {
        read if read == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(windows)]
fn write_at(file: &File, bytes: &[u8], place: u64) -> io::Result<()> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, place).map(drop)
}
