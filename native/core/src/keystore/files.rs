//! The files of an open keystore: ours alone, still there, and counted.

use rusqlite::Connection;

use super::counter::Counter;
use super::held::Held;
use super::location::Location;
use super::lock::Lock;
use super::{DatabaseKey, connection, failure, verdict};
use crate::error::{Code, Error, Result};

/// No keystore is shorter, in bytes: this is one page.
const SHORTEST: u64 = 4096;
/// How often it is tried again when the file comes and goes while it is opened.
const ATTEMPTS: u32 = 3;

/// Held as long as the keystore is open; to be dropped when SQLite has closed it.
pub(super) struct Files {
    counter: Counter,
    held: Held,
    lock: Lock,
}

/// A keystore that was just opened.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) files: Files,
    /// Whether its newest state is missing, which the caller has accepted.
    pub(super) rolled_back: bool,
}

impl Files {
    /// Opens the keystore that is there, or creates it. What fails leaves the files as they were,
    /// and brings no new ones.
    pub(super) fn open(location: &Location, key: &DatabaseKey, accept_rollback: bool) -> Result<Opened> {
        let lock = Lock::acquire(location.lock())?;
        let before = location.present();
        let held = match hold(location, key) {
            Ok(held) => held,
            Err(error) => {
                lock.take_back();
                return Err(error);
            }
        };
        let opened = held.refuse_second_name().and_then(|()| {
            verdict::confirmed(location.database(), || {
                refuse_cut_off(&held)?;
                connection::open(location.database(), key, |connection| {
                    Counter::of(connection, lock.file(), key, accept_rollback)
                })
            })
        });
        match opened {
            Ok((connection, (counter, rolled_back))) => {
                held.watch_log(location.log());
                held.make_private();
                counter.keep_former(lock.file());
                if !rolled_back {
                    // At the first open, and after it was deleted.
                    counter.note(lock.file());
                }
                let files = Files { counter, held, lock };
                Ok(Opened {
                    connection,
                    files,
                    rolled_back,
                })
            }
            Err(error) => {
                location.remove_all_but(&before);
                drop(held);
                lock.take_back();
                Err(error)
            }
        }
    }

    /// `DATABASE_LOST` once the file is not any more what its path says.
    pub(super) fn refuse_when_lost(&self) -> Result<()> {
        self.held.refuse_when_lost()
    }

    /// Within a transaction: the number of the state that it makes.
    pub(super) fn advance(&self, transaction: &Connection) -> rusqlite::Result<u64> {
        self.counter.advance(transaction)
    }

    /// The transaction with this number is on the disk.
    pub(super) fn stored(&self, number: u64) {
        self.counter.stored(number, self.lock.file());
    }
}

/// Holds the file that is there; where there is none, a new one that has just got its name.
fn hold(location: &Location, key: &DatabaseKey) -> Result<Held> {
    for _ in 0..ATTEMPTS {
        if location.exists() {
            return Held::open(location.database());
        }
        clear_what_a_kill_has_left(location)?;
        let mut held = Held::create(&location.creating())?;
        let created = connection::create(&location.creating(), key).and_then(|()| held.move_to(location.database()));
        if created.is_ok() {
            return Ok(held);
        }
        Location::beside(location.creating()).remove_side_files();
        held.remove();
        if !location.exists() {
            created?;
        }
    }
    Err(Error::new(
        Code::DatabaseIo,
        "Cannot create the keystore: something else comes and goes in its place.",
    ))
}

/// A keystore that was never finished. Another one may just be making it: then it is locked.
fn clear_what_a_kill_has_left(location: &Location) -> Result<()> {
    let unfinished = Location::beside(location.creating());
    if unfinished.exists() {
        let held = Held::open(unfinished.database())?;
        unfinished.remove_side_files();
        held.remove();
    }
    Ok(())
}

/// SQLite takes an empty file for a new database. A keystore gets its name only when it is whole,
/// so a shorter one has been cut off, or never was one.
fn refuse_cut_off(held: &Held) -> Result<()> {
    match held.length()? {
        0 => Err(Error::new(
            Code::DatabaseCorrupt,
            "This file is empty: it is no keystore, or none any more. To create a keystore give the path of a file that does not \
             exist yet. If it was one, move it aside and start with a new one; a backup would use message keys twice.",
        )),
        length if length < SHORTEST => Err(failure::corrupt("open the keystore")),
        _ => Ok(()),
    }
}
