//! The files of an open keystore, read from outside: without the key they say nothing, and with it no consumed secret.
#![allow(missing_docs, reason = "a test binary")]

mod keystore_support;

use std::collections::{BTreeSet, HashMap};

use conclave_core::keystore::{Entity, Keystore};
use keystore_support::pages::decrypted;
use keystore_support::random::Random;
use keystore_support::{Folder, KEY, contains, fill};

#[test]
fn without_the_key_the_files_say_nothing() {
    let folder = Folder::new();
    let alice = folder.open();
    fill(&alice);
    alice.rows().idle().expect("into the database");
    let (scope, key, value) = (
        b"the team of alice and bob",
        b"name of the row",
        b"and this is its content",
    );
    alice.rows().put(Entity::Data, scope, key, value.to_vec());
    alice.rows().flush().expect("into the log");

    let files = folder.files();
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["alice.db", "alice.db-wal", "alice.db.lock"]);
    let hex: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    let upper_case_hex = hex.to_uppercase();
    let secrets: [(&str, &[u8]); 9] = [
        ("conversation", scope),
        ("row", key),
        ("content", value),
        ("key", &KEY[..16]),
        ("key", &KEY[16..]),
        ("key in hexadecimal", hex.as_bytes()),
        ("key in hexadecimal", upper_case_hex.as_bytes()),
        ("schema", b"CREATE TABLE"),
        ("SQLite's header", b"SQLite format 3"),
    ];
    for (name, bytes) in &files {
        for (what, secret) in secrets {
            assert!(!contains(bytes, secret), "{what} in {name}");
        }
    }
    // The same search finds them where they are to be found. Values are sealed once more.
    let plain = decrypted(&folder);
    for readable in [&scope[..], key, b"CREATE TABLE"] {
        assert!(contains(&plain, readable));
    }
    assert!(!contains(&plain, value));
}

#[test]
fn a_plain_sqlite_calls_it_not_a_database() {
    let folder = Folder::new();
    fill(&folder.open());
    let plain = rusqlite::Connection::open(folder.database()).expect("opens");
    let error = plain
        .query_one("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .expect_err("unreadable");
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::NotADatabase));
}

#[cfg(unix)]
#[test]
fn the_files_are_for_their_owner_only() {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    fill(&folder.open());
    set_permissions(folder.database(), Permissions::from_mode(0o664)).expect("opened to others");
    let alice = folder.open();
    fill(&alice);
    let names = folder.names();
    assert_eq!(names.len(), 3);
    for name in names {
        let mode = metadata(folder.path().join(&name)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn nothing_is_written_before_a_flush() {
    let folder = Folder::new();
    let alice = folder.open();
    fill(&alice);
    let written = || folder.files();
    let before = written();
    let rows = alice.rows();
    let savepoint = rows.savepoint();
    for n in 0..1000u32 {
        rows.put(Entity::Tree, b"team", &n.to_be_bytes(), vec![7; 3000]);
    }
    rows.delete_scope(b"family", &[]).expect("readable");
    rows.list_all(Entity::Tree).expect("readable");
    rows.rollback_to(savepoint);
    rows.put(Entity::Tree, b"team", b"one", vec![7; 3000]);
    rows.discard();
    rows.flush().expect("nothing to do");
    rows.flush_since(savepoint).expect("nothing to do");
    assert!(written() == before);
    rows.put(Entity::Tree, b"team", b"one", vec![7; 3000]);
    rows.flush().expect("a flush");
    assert!(written() != before);
}

type Seal = [u8; 32];

/// The keys of all values that are in use. Each value is sealed under one of its own; what nobody can find the key of,
/// nobody can read, wherever SQLite has left copies of it.
fn in_use(folder: &Folder) -> BTreeSet<Seal> {
    let copy = folder.copy();
    let other = copy.other_program();
    let mut seals = other
        .prepare("SELECT key FROM seals WHERE NOT spare")
        .expect("a statement");
    seals
        .query_map([], |row| row.get(0))
        .expect("a query")
        .map(|seal| seal.expect("a key"))
        .collect()
}

/// Which of these keys are anywhere in the files, for someone with the key of the file.
fn found(folder: &Folder, seals: &BTreeSet<Seal>) -> BTreeSet<Seal> {
    let by_start: HashMap<&[u8], &Seal> = seals.iter().map(|seal| (&seal[..8], seal)).collect();
    let plain = decrypted(folder);
    let known = |window: &[u8]| {
        by_start
            .get(&window[..8])
            .copied()
            .filter(|seal| *seal == window)
            .copied()
    };
    plain.windows(32).filter_map(known).collect()
}

#[test]
fn a_consumed_secret_is_gone_after_64_commits() {
    let folder = Folder::new();
    let alice = folder.open();
    let store = |key: &[u8], value: Option<&[u8]>| {
        let before = in_use(&folder);
        match value {
            Some(value) => alice.rows().put(Entity::MessageSecrets, b"team", key, value.to_vec()),
            None => alice.rows().delete(Entity::MessageSecrets, b"team", key),
        }
        alice.rows().flush().expect("a flush");
        in_use(&folder).difference(&before).copied().collect::<BTreeSet<_>>()
    };
    let kept = store(b"kept", Some(b"one"));
    let mut consumed = store(b"replaced", Some(b"two"));
    consumed.extend(store(b"deleted", Some(b"three")));
    store(b"replaced", Some(b"four"));
    store(b"deleted", None);
    assert_eq!(consumed.len(), 2);
    assert_eq!(
        found(&folder, &consumed),
        consumed,
        "the log still holds what was consumed"
    );
    for _ in 0..63 {
        store(b"other", Some(b"five"));
    }
    assert_eq!(found(&folder, &consumed), BTreeSet::new());
    assert_eq!(found(&folder, &kept), kept);
}

#[test]
fn a_consumed_secret_is_gone_after_idling_and_after_closing() {
    let folder = Folder::new();
    let ends: [fn(Keystore) -> Option<Keystore>; 3] = [
        |alice| {
            alice.rows().idle().expect("emptied");
            Some(alice)
        },
        |alice| {
            alice.close().expect("a clean close");
            None
        },
        |alice| {
            drop(alice);
            None
        },
    ];
    for end in ends {
        let alice = folder.open();
        let store = |value: &[u8]| {
            alice.rows().put(Entity::EpochSecrets, b"team", b"", value.to_vec());
            alice.rows().flush().expect("a flush");
            in_use(&folder)
        };
        let (consumed, kept) = (store(b"one"), store(b"two"));
        assert_eq!(
            found(&folder, &consumed),
            consumed,
            "the log still holds what was consumed"
        );
        let _still_open = end(alice);
        assert_eq!(found(&folder, &consumed), BTreeSet::new());
        assert_eq!(found(&folder, &kept), kept);
    }
}

/// Pages of SQLite's trees are split, merged and rebuilt as rows grow, shrink and go, and copies of rows stay in their gaps.
/// The copies may; their keys may not.
#[test]
fn a_life_of_changes_leaves_only_the_keys_of_what_is_in_use() {
    let folder = Folder::new();
    let alice = folder.open();
    let mut random = Random::new(7);
    let mut ever = BTreeSet::new();
    for _ in 0..12 {
        for _ in 0..60 {
            for _ in 0..random.below(12) {
                let (scope, key) = ([random.below(4) as u8; 16], [random.below(90) as u8; 33]);
                if random.below(4) == 0 {
                    alice.rows().delete(Entity::Tree, &scope, &key);
                } else {
                    let length = [30, 150, 200, 900, 1_500, 5_000, 30_000][random.below(7) as usize];
                    alice.rows().put(Entity::Tree, &scope, &key, vec![7; length]);
                }
            }
            alice.rows().flush().expect("a flush");
            ever.extend(in_use(&folder));
        }
        alice.rows().idle().expect("emptied");
        assert_eq!(found(&folder, &ever), in_use(&folder), "of {} keys", ever.len());
    }
    assert!(ever.len() > 2000);
    for scope in 0..4 {
        alice.rows().delete_scope(&[scope; 16], &[]).expect("readable");
    }
    alice.rows().flush().expect("a flush");
    alice.rows().idle().expect("emptied");
    assert_eq!(found(&folder, &ever), BTreeSet::new());
}
