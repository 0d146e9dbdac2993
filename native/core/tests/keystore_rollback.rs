//! An older state of a keystore is told from the newest, by the number in its lock file.
#![allow(missing_docs, reason = "a test binary")]

mod keystore_support;

use std::cell::Cell;

use conclave_core::error::{Code, Error};
use conclave_core::keystore::{Entity, Keystore};
use keystore_support::{Folder, child, fill, key, other_key};

const LOCK: &str = "alice.db.lock";

/// Stores this value, in one commit.
fn store(keystore: &Keystore, value: &[u8]) {
    keystore.rows().put(Entity::Data, b"", b"value", value.to_vec());
    keystore.rows().flush().expect("a flush");
}

fn value(keystore: &Keystore) -> Option<Vec<u8>> {
    let value = keystore.rows().get(Entity::Data, b"", b"value").expect("readable");
    value.map(|value| value.to_vec())
}

/// A keystore with the value "new", and its files when the value was "old".
fn with_an_older_copy() -> (Folder, Folder) {
    let folder = Folder::new();
    store(&folder.open(), b"old");
    let older = folder.copy();
    store(&folder.open(), b"new");
    (folder, older)
}

/// Puts an older database back, but not its lock file.
fn roll_back(folder: &Folder, older: &Folder) {
    let mut files = older.files();
    files.insert(LOCK.to_owned(), folder.files()[LOCK].clone());
    folder.put(&files);
}

#[test]
fn an_older_file_is_told_and_stays_as_it_is() {
    let (folder, older) = with_an_older_copy();
    roll_back(&folder, &older);
    let before = folder.files();
    assert_eq!(folder.refusal(&key()), Code::DatabaseRolledBack);
    assert_eq!(
        folder.refusal(&other_key()),
        Code::DatabaseKeyWrong,
        "who has no key is told nothing"
    );
    assert!(folder.files() == before, "{:?}", folder.names());
}

#[test]
fn a_rollback_that_is_accepted_is_accepted_once_and_for_all() {
    let (folder, older) = with_an_older_copy();
    roll_back(&folder, &older);
    // Where what has to be done cannot be done, nothing is accepted.
    let failed = Keystore::open_accepting_rollback(folder.database(), &key(), |_| Err(Error::internal("not today")));
    assert_eq!(failed.expect_err("it fails").code(), Code::InternalError);
    assert_eq!(folder.refusal(&key()), Code::DatabaseRolledBack);

    let accept = |called: &Cell<u32>| {
        Keystore::open_accepting_rollback(folder.database(), &key(), |rows| {
            called.set(called.get() + 1);
            rows.put(Entity::Data, b"", b"accepted", b"yes".to_vec());
            Ok(())
        })
        .expect("opens")
    };
    let called = Cell::new(0);
    assert_eq!(value(&accept(&called)).as_deref(), Some(&b"old"[..]));
    assert_eq!(called.get(), 1);
    let again = folder.open();
    let accepted = again.rows().get(Entity::Data, b"", b"accepted").expect("readable");
    assert_eq!(accepted.expect("is stored").as_slice(), b"yes");
    store(&again, b"newer");
    drop(again);
    assert_eq!(value(&accept(&called)).as_deref(), Some(&b"newer"[..]));
    assert_eq!(
        called.get(),
        1,
        "nothing is missing, so that nothing has to be accepted"
    );
}

#[test]
fn the_state_that_was_lost_is_older_than_the_one_that_was_accepted() {
    let (folder, older) = with_an_older_copy();
    let lost = folder.copy();
    roll_back(&folder, &older);
    drop(Keystore::open_accepting_rollback(folder.database(), &key(), |_| Ok(())).expect("opens"));
    roll_back(&folder, &lost);
    assert_eq!(folder.refusal(&key()), Code::DatabaseRolledBack);
}

#[test]
fn a_log_that_is_deleted_or_damaged_after_a_kill_is_missed() {
    const TEST: &str = "a_log_that_is_deleted_or_damaged_after_a_kill_is_missed";
    if let Some(database) = child::part() {
        let alice = Keystore::open(database, &key()).expect("opens");
        fill(&alice);
        store(&alice, b"new");
        child::say("stored");
        child::wait();
    }
    let folder = Folder::new();
    store(&folder.open(), b"old");
    let mut other = child::start(TEST, &folder.database());
    other.hear("stored");
    other.kill();
    let whole = folder.files();
    let mut without = whole.clone();
    without.remove("alice.db-wal");
    let mut damaged = whole.clone();
    let log = damaged.get_mut("alice.db-wal").expect("a log");
    let last_frame = log.len() - 4096;
    log[last_frame] ^= 1;
    let mut cut_off = whole.clone();
    cut_off.get_mut("alice.db-wal").expect("a log").truncate(last_frame);
    for files in [&without, &damaged, &cut_off] {
        folder.put(files);
        assert_eq!(folder.refusal(&key()), Code::DatabaseRolledBack);
        assert!(folder.files() == *files, "{:?}", folder.names());
    }
    folder.put(&whole);
    assert_eq!(value(&folder.open()).as_deref(), Some(&b"new"[..]));
}

/// Start scripts delete lock files.
#[test]
fn without_a_number_that_can_be_read_nothing_is_told() {
    let (folder, older) = with_an_older_copy();
    let other = Folder::new();
    for n in 0..9 {
        store(&other.open(), &[n]);
    }
    let own = folder.files()[LOCK].clone();
    let mut forged = own.clone();
    // Two records of eight bytes of mark, eight of number, and a tag, in sectors of their own.
    for place in [0, 512] {
        forged[place + 15] ^= 0x40;
    }
    for lock in [
        None,
        Some(vec![]),
        Some(vec![0; 5000]),
        Some(other.files()[LOCK].clone()),
        Some(forged),
    ] {
        let mut files = older.files();
        files.remove(LOCK);
        files.extend(lock.map(|lock| (LOCK.to_owned(), lock)));
        folder.put(&files);
        assert_eq!(value(&folder.open()).as_deref(), Some(&b"old"[..]));
        // And from then on it is told again.
        store(&folder.open(), b"newer");
        roll_back(&folder, &older);
        assert_eq!(folder.refusal(&key()), Code::DatabaseRolledBack);
    }
}

#[test]
fn a_record_that_was_cut_off_leaves_the_one_before() {
    let folder = Folder::new();
    store(&folder.open(), b"old");
    let older = folder.copy();
    let alice = folder.open();
    store(&alice, b"new");
    let before = folder.files()[LOCK].clone();
    store(&alice, b"newest");
    drop(alice);
    let mut files = older.files();
    let mut lock = folder.files()[LOCK].clone();
    let newest = if lock[..512] == before[..512] { 512 } else { 0 };
    lock[newest + 30] ^= 1;
    files.insert(LOCK.to_owned(), lock);
    folder.put(&files);
    assert_eq!(folder.refusal(&key()), Code::DatabaseRolledBack);
}

/// It was deleted, others were made at its path meanwhile, and an old copy of it comes back.
#[test]
fn an_older_file_is_told_also_when_others_were_at_its_path() {
    let (folder, older) = with_an_older_copy();
    for _ in 0..3 {
        std::fs::remove_file(folder.database()).expect("removed");
        store(&folder.open(), b"another keystore");
        store(&folder.open(), b"another keystore");
    }
    roll_back(&folder, &older);
    assert_eq!(folder.refusal(&key()), Code::DatabaseRolledBack);
}
