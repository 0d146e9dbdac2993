//! One owner per keystore, and what is left when it is killed.
#![allow(missing_docs, reason = "a test binary")]

mod keystore_support;

use std::error::Error;
use std::fs;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use conclave_core::error::Code;
use conclave_core::keystore::{Entity, Keystore};
use keystore_support::{Folder, child, code, fill, key, other_key, refusal};

#[test]
fn a_second_opener_is_refused_at_once_and_first() {
    let folder = Folder::new();
    let alice = folder.open();
    // The lock comes before the key: even a wrong key learns only that it is in use.
    assert_eq!(folder.refusal(&key()), Code::DatabaseInUse);
    assert_eq!(folder.refusal(&other_key()), Code::DatabaseInUse);
    fill(&alice);
    alice.close().expect("a clean close");
    drop(folder.open());
    folder.open();
}

#[test]
fn a_keystore_moves_between_threads() {
    let folder = Folder::new();
    let alice = folder.open();
    thread::spawn(move || fill(&alice)).join().expect("no panic");
    assert_eq!(folder.open().rows().list_all(Entity::Tree).expect("readable").len(), 60);
}

/// In between nobody may slip in beside another, also not while the keystore is created, and when
/// the lock file is deleted.
#[test]
fn however_many_come_and_go_there_is_one_owner() {
    let folder = Folder::new();
    let (owners, turns) = (AtomicU32::new(0), AtomicU32::new(0));
    let come_and_go = || {
        while turns.load(SeqCst) < 400 {
            match Keystore::open(folder.database(), &key()) {
                Ok(_owned) => {
                    assert_eq!(owners.fetch_add(1, SeqCst), 0, "two owners");
                    if turns.fetch_add(1, SeqCst) % 3 == 0 {
                        let _ = fs::remove_file(folder.path().join("alice.db.lock"));
                    }
                    owners.fetch_sub(1, SeqCst);
                }
                Err(error) => assert_eq!(error.code(), Code::DatabaseInUse, "{:?}", error.source()),
            }
        }
    };
    thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(come_and_go))));
}

/// A program that is being started has the open files of this process until it runs.
#[cfg(unix)]
#[test]
fn what_was_closed_is_opened_at_once_while_programs_are_started() {
    let folder = Folder::new();
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    let started = std::process::Command::new("true").status();
                    assert!(started.expect("it is there").success());
                }
            });
        }
        let opened: Vec<Result<(), Code>> = (0..300)
            .map(|_| {
                let opened = Keystore::open(folder.database(), &key());
                opened.map(drop).map_err(|error| error.code())
            })
            .collect();
        done.store(true, SeqCst);
        assert_eq!(opened, [Ok(()); 300]);
    });
}

#[test]
fn the_lock_dies_with_a_killed_holder() {
    const TEST: &str = "the_lock_dies_with_a_killed_holder";
    if let Some(database) = child::part() {
        let _held = Keystore::open(database, &key()).expect("opens");
        child::say("held");
        child::wait();
    }
    let folder = Folder::new();
    let mut holder = child::start(TEST, &folder.database());
    holder.hear("held");
    assert_eq!(folder.refusal(&key()), Code::DatabaseInUse);
    holder.kill();
    fill(&folder.open());
    assert_eq!(folder.names(), ["alice.db", "alice.db.lock"]);
}

#[cfg(unix)]
mod other_names {
    use std::path::{Path, PathBuf};

    use super::*;
    use keystore_support::other_program;

    const REFUSED: &str = "refused: ";

    /// Expects that nobody else gets at the file by this path: not this process, not another one,
    /// not another program with the key.
    fn there_is_one_owner(test: &str, path: &Path) {
        assert_eq!(refusal(path, &key()).code(), Code::DatabaseInUse);
        let told = |start: &str| {
            let mut other = child::start(test, path);
            let told = other.hear(start);
            // Not killed in the middle of a refusal, which would leave a lock file.
            if start != REFUSED {
                assert_eq!(other.hear(REFUSED), "DATABASE_IN_USE");
            }
            other.kill();
            told
        };
        assert_eq!(
            told("sqlite: "),
            "Some(DatabaseBusy)",
            "a refusal takes nothing from the owner"
        );
        // This ends all locks that SQLite has on the file, since it is in the same process.
        fs::read(path).expect("its bytes");
        fs::write(was_read(path), b"").expect("written");
        assert_eq!(told(REFUSED), "DATABASE_IN_USE");
        fs::remove_file(was_read(path)).expect("removed");
    }

    /// Says to another process that it is too late to try by SQLite alone.
    fn was_read(path: &Path) -> PathBuf {
        path.with_extension("was-read")
    }

    fn plays_others() -> bool {
        let Some(database) = child::part() else { return false };
        if !was_read(&database).exists() {
            let refused = other_program(&database).execute_batch("SELECT count(*) FROM rows");
            let code = refused.err().and_then(|error| error.sqlite_error_code());
            child::say(&format!("sqlite: {code:?}"));
        }
        child::say(&format!("refused: {}", refusal(database, &key()).code().as_str()));
        true
    }

    #[test]
    fn without_its_lock_file_a_keystore_has_one_owner_still() {
        if plays_others() {
            return;
        }
        let folder = Folder::new();
        let alice = folder.open();
        fs::remove_file(folder.path().join("alice.db.lock")).expect("removed");
        there_is_one_owner(
            "other_names::without_its_lock_file_a_keystore_has_one_owner_still",
            &folder.database(),
        );
        assert_eq!(
            folder.names(),
            ["alice.db", "alice.db-wal"],
            "who is refused leaves nothing"
        );
        fill(&alice);
        alice.close().expect("a clean close");
        assert_eq!(folder.open().rows().list_all(Entity::Tree).expect("readable").len(), 60);
    }

    /// As backups make them that save what has not changed as a hard link. A bind mount is such a
    /// name as well.
    #[test]
    fn a_second_name_lets_nobody_in_and_must_go_before_the_next_open() {
        if plays_others() {
            return;
        }
        let folder = Folder::new();
        let alice = folder.open();
        let second = folder.path().join("backup.db");
        fs::hard_link(folder.database(), &second).expect("linked");
        there_is_one_owner(
            "other_names::a_second_name_lets_nobody_in_and_must_go_before_the_next_open",
            &second,
        );
        fill(&alice);
        alice.rows().idle().expect("its owner goes on");
        alice.close().expect("a clean close");

        let before = folder.files();
        for path in [folder.database(), second.clone()] {
            assert_eq!(refusal(path, &key()).code(), Code::InvalidArgument);
        }
        assert!(folder.files() == before, "{:?}", folder.names());
        fs::remove_file(second).expect("removed");
        assert_eq!(folder.open().rows().list_all(Entity::Tree).expect("readable").len(), 60);
    }

    #[test]
    fn nothing_is_stored_in_a_file_that_nobody_finds() {
        type Loss = (&'static str, fn(&Folder));
        let losses: [Loss; 5] = [
            ("deleted", |folder| {
                fs::remove_file(folder.database()).expect("removed");
            }),
            ("renamed", |folder| {
                fs::rename(folder.database(), folder.path().join("moved.db")).expect("renamed");
            }),
            ("replaced", |folder| {
                let copy = folder.path().join("copy.db");
                fs::copy(folder.database(), &copy).expect("copied");
                fs::rename(copy, folder.database()).expect("renamed");
            }),
            ("moved behind a link", |folder| {
                fs::rename(folder.database(), folder.path().join("moved.db")).expect("renamed");
                std::os::unix::fs::symlink("moved.db", folder.database()).expect("linked");
            }),
            ("without its log", |folder| {
                fs::remove_file(folder.path().join("alice.db-wal")).expect("removed");
            }),
        ];
        for (what, lose) in losses {
            let folder = Folder::new();
            let alice = folder.open();
            fill(&alice);
            lose(&folder);
            alice.rows().put(Entity::Data, b"", b"cursor", b"18".to_vec());
            assert_eq!(code(alice.rows().flush()), Some(Code::DatabaseLost), "{what}");
            assert!(alice.rows().is_dirty(), "{what}: a failed flush leaves what is pending");
            assert_eq!(code(alice.rows().idle()), Some(Code::DatabaseLost), "{what}");
            assert_eq!(code(alice.close()), Some(Code::DatabaseLost), "{what}");
        }
    }

    #[test]
    fn what_was_stored_before_is_in_the_renamed_file_and_nothing_else_is() {
        let folder = Folder::new();
        let alice = folder.open();
        fill(&alice);
        let moved = folder.path().join("moved.db");
        fs::rename(folder.database(), &moved).expect("renamed");
        assert_eq!(refusal(&moved, &key()).code(), Code::DatabaseInUse);
        assert_eq!(code(alice.rows().idle()), Some(Code::DatabaseLost));
        // Putting it back heals nothing: who knows what happened meanwhile.
        fs::rename(&moved, folder.database()).expect("renamed");
        alice.rows().put(Entity::Data, b"", b"cursor", b"18".to_vec());
        assert_eq!(code(alice.rows().flush()), Some(Code::DatabaseLost));
        fs::rename(folder.database(), &moved).expect("renamed");
        assert_eq!(code(alice.close()), Some(Code::DatabaseLost));

        let again = Keystore::open(&moved, &key()).expect("opens");
        assert_eq!(again.rows().list_all(Entity::Tree).expect("readable").len(), 60);
        assert!(
            again
                .rows()
                .get(Entity::Data, b"", b"cursor")
                .expect("readable")
                .is_none()
        );
    }
}

#[test]
fn what_was_flushed_survives_kills() {
    const TEST: &str = "what_was_flushed_survives_kills";
    if let Some(database) = child::part() {
        let alice = Keystore::open(database, &key()).expect("opens");
        for n in last(&alice) + 1.. {
            alice.rows().put(Entity::Data, b"", b"last", n.to_be_bytes().to_vec());
            alice
                .rows()
                .put(Entity::KnownMessage, b"team", &n.to_be_bytes(), value(n));
            alice.rows().flush().expect("a flush");
            child::say(&format!("stored {n}"));
        }
    }
    let folder = Folder::new();
    let mut from = 0;
    for round in 0..12 {
        let mut other = child::start(TEST, &folder.database());
        let mut told: u64 = 0;
        for _ in 0..=(round * 13) {
            told = other.hear("stored ").parse().expect("a number");
        }
        for line in other.kill().lines().filter_map(|line| line.strip_prefix("stored ")) {
            told = line.parse().unwrap_or(told); // the last line may be cut
        }
        let alice = folder.open();
        let stored = last(&alice);
        assert!(
            stored >= told && told > from,
            "told of {told}, found {stored}, before {from}"
        );
        let rows = alice.rows().list(Entity::KnownMessage, b"team").expect("readable");
        assert_eq!(rows.len() as u64, stored, "all of a flush or nothing");
        assert!(
            rows.iter()
                .zip(1..)
                .all(|((key, row), n)| key == &u64::to_be_bytes(n) && **row == value(n))
        );
        from = stored;
    }
}

#[test]
fn a_wrong_key_changes_nothing_of_what_a_killed_owner_has_left() {
    const TEST: &str = "a_wrong_key_changes_nothing_of_what_a_killed_owner_has_left";
    if let Some(database) = child::part() {
        let alice = Keystore::open(database, &key()).expect("opens");
        fill(&alice);
        child::say("flushed");
        child::wait();
    }
    let folder = Folder::new();
    let mut other = child::start(TEST, &folder.database());
    other.hear("flushed");
    other.kill();
    // As after a copy of the two files that matter.
    fs::remove_file(folder.path().join("alice.db.lock")).expect("removed");
    let before = folder.files();
    assert!(
        before["alice.db-wal"].len() > before["alice.db"].len(),
        "what was flushed is in the log alone"
    );
    assert_eq!(folder.refusal(&other_key()), Code::DatabaseKeyWrong);
    assert!(folder.files() == before, "{:?}", folder.names());

    let again = folder.open();
    assert_eq!(again.rows().list_all(Entity::Tree).expect("readable").len(), 60);
    assert_eq!(
        folder.files()["alice.db-wal"].len(),
        0,
        "what a killed owner has left in the log has left it"
    );
}

fn last(keystore: &Keystore) -> u64 {
    let last = keystore.rows().get(Entity::Data, b"", b"last").expect("readable");
    last.map_or(0, |bytes| u64::from_be_bytes(bytes[..].try_into().expect("8 bytes")))
}

fn value(n: u64) -> Vec<u8> {
    n.to_be_bytes().repeat(1 + n as usize % 700)
}
