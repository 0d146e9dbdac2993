//! Opening a keystore, and each way in which it says no: the right code, nothing changed, nothing left behind.
#![allow(missing_docs, reason = "a test binary")]

mod keystore_support;

use std::fs;

use conclave_core::error::Code;
use conclave_core::keystore::{Entity, Keystore};
use keystore_support::{Folder, child, code, fill, key, other_key, refusal};

#[test]
fn what_was_flushed_is_there_when_it_is_opened_again() {
    let folder = Folder::new();
    let alice = folder.open();
    alice.rows().put(Entity::Data, b"", b"cursor", b"17".to_vec());
    alice.rows().flush().expect("a flush");
    alice.rows().put(Entity::Data, b"", b"cursor", b"18".to_vec());
    alice.close().expect("a clean close");
    assert_eq!(
        folder.names(),
        ["alice.db", "alice.db.lock"],
        "nothing but the database and its lock file stays after a close"
    );

    let again = folder.open();
    let cursor = again
        .rows()
        .get(Entity::Data, b"", b"cursor")
        .expect("readable")
        .expect("there");
    assert_eq!(cursor.as_slice(), b"17", "what was not flushed is not there");
}

#[test]
fn an_empty_file_is_no_new_keystore() {
    let folder = Folder::new();
    fs::write(folder.database(), b"").expect("written");
    let error = refusal(folder.database(), &key());
    assert_eq!(error.code(), Code::DatabaseCorrupt);
    assert!(error.to_string().starts_with("This file is empty"), "{error}");
    assert_eq!(folder.files(), [("alice.db".to_owned(), Vec::new())].into());
}

#[test]
fn what_a_killed_creator_has_left_is_in_nobodys_way() {
    let folder = Folder::new();
    for name in [
        "alice.db-creating",
        "alice.db-creating-wal",
        "alice.db-creating-journal",
    ] {
        fs::write(folder.path().join(name), [7; 5000]).expect("written");
    }
    fill(&folder.open());
    assert_eq!(folder.names(), ["alice.db", "alice.db.lock"]);
    assert_eq!(folder.open().rows().list_all(Entity::Tree).expect("readable").len(), 60);
}

#[test]
fn a_wrong_key_is_refused_and_changes_nothing() {
    let folder = Folder::new();
    fill(&folder.open());
    let before = folder.files();
    assert_eq!(folder.refusal(&other_key()), Code::DatabaseKeyWrong);
    assert_eq!(folder.files(), before);
    folder.open(); // and the lock is free
}

#[test]
fn a_wrong_key_prints_nothing() {
    if let Some(database) = child::part() {
        assert_eq!(refusal(database, &other_key()).code(), Code::DatabaseKeyWrong);
        return;
    }
    let folder = Folder::new();
    fill(&folder.open());
    assert_eq!(child::stderr_of("a_wrong_key_prints_nothing", &folder.database()), "");
}

#[test]
fn what_is_no_keystore_is_refused_and_changes_nothing() {
    let plain_sqlite = {
        let folder = Folder::new();
        let plain = rusqlite::Connection::open(folder.database()).expect("opens");
        plain
            .execute_batch("CREATE TABLE notes (text); INSERT INTO notes VALUES ('buy milk')")
            .expect("written");
        fs::read(folder.database()).expect("its bytes")
    };
    assert!(plain_sqlite.starts_with(b"SQLite format 3\0"));
    for bytes in [
        &plain_sqlite[..],
        b"x",
        b"Dear diary,\n",
        &[0; 100],
        &[0; 4096],
        &[b'a'; 10_000],
    ] {
        let folder = Folder::new();
        fs::write(folder.database(), bytes).expect("written");
        let before = folder.files();
        // No keystore is shorter than a page, whatever the key.
        let expected = if bytes.len() < 4096 {
            Code::DatabaseCorrupt
        } else {
            Code::DatabaseKeyWrong
        };
        assert_eq!(folder.refusal(&key()), expected, "{} bytes", bytes.len());
        assert_eq!(folder.files(), before);
    }
}

#[test]
fn another_programs_database_with_the_same_key_is_refused() {
    let folder = Folder::new();
    folder
        .other_program()
        .execute_batch("CREATE TABLE notes (text)")
        .expect("written");
    let before = folder.files();
    assert_eq!(folder.refusal(&key()), Code::InvalidArgument);
    assert_eq!(folder.files(), before);
}

#[test]
fn a_keystore_of_a_later_release_is_refused() {
    let folder = Folder::new();
    fill(&folder.open());
    for version in ["2", "4000000", "-1"] {
        folder
            .other_program()
            .pragma_update(None, "user_version", version.parse::<i32>().expect("a number"))
            .expect("set");
        let before = folder.files();
        assert_eq!(folder.refusal(&key()), Code::DatabaseTooNew);
        assert_eq!(folder.files(), before);
    }
}

#[test]
fn one_flipped_bit_anywhere_is_found_when_it_is_opened() {
    let folder = Folder::new();
    fill(&folder.open());
    let whole = fs::read(folder.database()).expect("its bytes");
    let pages = whole.len() / 4096;
    assert!(pages > 100, "{pages} pages");
    for page in 0..pages {
        let mut damaged = whole.clone();
        damaged[page * 4096 + (page * 37) % 4096] ^= 1;
        fs::write(folder.database(), &damaged).expect("written");
        // The first page cannot tell damage from a wrong key.
        let expected = if page == 0 {
            Code::DatabaseKeyWrong
        } else {
            Code::DatabaseCorrupt
        };
        assert_eq!(folder.refusal(&key()), expected, "page {} of {pages}", page + 1);
        assert!(fs::read(folder.database()).expect("its bytes") == damaged);
        assert_eq!(folder.names(), ["alice.db", "alice.db.lock"]);
    }
    fs::write(folder.database(), &whole).expect("written");
    folder.open();
}

#[test]
fn a_file_that_was_cut_short_is_corrupt() {
    let folder = Folder::new();
    fill(&folder.open());
    let whole = fs::read(folder.database()).expect("its bytes");
    for length in [
        0,
        1,
        100,
        4095,
        4096,
        5000,
        whole.len() / 2,
        whole.len() - 4096,
        whole.len() - 1,
    ] {
        fs::write(folder.database(), &whole[..length]).expect("written");
        assert_eq!(
            folder.refusal(&key()),
            Code::DatabaseCorrupt,
            "{length} of {}",
            whole.len()
        );
    }
}

#[test]
fn pages_of_another_keystore_with_the_same_key_do_not_fit_in() {
    let (alice, bob) = (Folder::new(), Folder::new());
    fill(&alice.open());
    fill(&bob.open());
    let (mut mixed, other) = (
        fs::read(alice.database()).expect("bytes"),
        fs::read(bob.database()).expect("bytes"),
    );
    mixed[3 * 4096..4 * 4096].copy_from_slice(&other[3 * 4096..4 * 4096]);
    fs::write(alice.database(), &mixed).expect("written");
    assert_eq!(alice.refusal(&key()), Code::DatabaseCorrupt);
}

#[test]
fn damage_while_it_is_open_is_a_failed_read_and_corrupt_for_the_next_open() {
    let folder = Folder::new();
    let alice = folder.open();
    for n in 0..1000u32 {
        alice
            .rows()
            .put(Entity::Tree, b"team", &n.to_be_bytes(), vec![n as u8; 8000]); // more than SQLite's cache keeps
    }
    alice.rows().flush().expect("a flush");
    alice.rows().idle().expect("into the database");
    let mut damaged = fs::read(folder.database()).expect("its bytes");
    damaged.chunks_exact_mut(4096).skip(1).for_each(|page| page[1000] ^= 1);
    fs::write(folder.database(), &damaged).expect("written");

    assert_eq!(code(alice.rows().list_all(Entity::Tree)), Some(Code::DatabaseIo));
    alice.rows().put(Entity::Data, b"", b"cursor", b"18".to_vec());
    assert_eq!(code(alice.rows().flush()), Some(Code::DatabaseIo));
    assert!(alice.rows().is_dirty(), "a failed flush leaves what is pending");
    // Neither what SQLite still has in its cache is answered now, nor the log emptied.
    assert_eq!(
        code(alice.rows().get(Entity::Tree, b"team", &999u32.to_be_bytes())),
        Some(Code::DatabaseIo)
    );
    assert_eq!(code(alice.close()), Some(Code::DatabaseIo));
    assert_eq!(folder.refusal(&key()), Code::DatabaseCorrupt);
}

#[test]
fn a_page_that_could_not_be_read_for_a_moment_is_no_damage() {
    let folder = Folder::new();
    let alice = folder.open();
    for n in 0..1000u32 {
        alice
            .rows()
            .put(Entity::Tree, b"team", &n.to_be_bytes(), vec![n as u8; 8000]); // more than SQLite's cache keeps
    }
    alice.rows().flush().expect("a flush");
    alice.rows().idle().expect("into the database");
    let whole = fs::read(folder.database()).expect("its bytes");
    let mut damaged = whole.clone();
    damaged.chunks_exact_mut(4096).skip(1).for_each(|page| page[1000] ^= 1);
    fs::write(folder.database(), &damaged).expect("written");
    let error = alice.rows().list_all(Entity::Tree).expect_err("it cannot be read");
    assert_eq!(error.code(), Code::DatabaseIo);
    assert!(error.to_string().contains("Close the database and open it again"));
    fs::write(folder.database(), &whole).expect("written");

    // The file is whole again, and SQLCipher's state is still that of before.
    alice.rows().put(Entity::Data, b"", b"cursor", b"18".to_vec());
    assert_eq!(code(alice.rows().flush()), Some(Code::DatabaseIo));
    drop(alice);
    let again = folder.open();
    assert_eq!(again.rows().list_all(Entity::Tree).expect("readable").len(), 1000);
    assert_eq!(again.rows().get(Entity::Data, b"", b"cursor").expect("readable"), None);
}

#[test]
fn what_cannot_be_a_file_is_an_argument_error() {
    let folder = Folder::new();
    for path in ["", "a\0b", "/", ".", ".."] {
        assert_eq!(refusal(path, &key()).code(), Code::InvalidArgument, "{path:?}");
    }
    assert_eq!(refusal(folder.path(), &key()).code(), Code::InvalidArgument);
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn each_path_that_cannot_be_has_its_sentence() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("folder")).expect("created");
    fs::write(folder.path().join("file"), b"x").expect("written");
    let deep = (0..60).fold(folder.path().to_owned(), |path, _| path.join("a-folder"));
    fs::create_dir_all(&deep).expect("created");
    let cases = [
        (folder.path().join("n".repeat(300)), Code::InvalidArgument, "too long"),
        // It fits itself, but not with what is put behind the names of the files beside it.
        (folder.path().join("n".repeat(250)), Code::InvalidArgument, "too long"),
        (deep.join("alice.db"), Code::InvalidArgument, "too long"),
        (folder.path().join("folder"), Code::InvalidArgument, "is a folder"),
        (
            folder.path().join("file/alice.db"),
            Code::DatabaseIo,
            "calls a folder is a file",
        ),
        (
            folder.path().join("none/alice.db"),
            Code::DatabaseIo,
            "folder does not exist",
        ),
    ];
    for (path, code, says) in cases {
        let error = refusal(&path, &key());
        assert_eq!(error.code(), code, "{}: {error}", path.display());
        assert!(error.to_string().contains(says), "{}: {error}", path.display());
    }
    let mut left: Vec<_> = fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["a-folder", "file", "folder"]);
}

#[test]
fn a_missing_folder_is_an_io_error_that_says_so() {
    let folder = Folder::new();
    let error = refusal(folder.path().join("no such folder/alice.db"), &key());
    assert_eq!(error.code(), Code::DatabaseIo);
    assert_eq!(
        error.to_string(),
        "Cannot create the keystore: its folder does not exist. Create it first."
    );
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn names_that_sqlite_reads_as_something_else_are_files() {
    let folder = Folder::new();
    for name in [
        ":memory:",
        "file:alice.db?mode=memory",
        "alice 100%.db",
        "ключ.db",
        "it's.db",
    ] {
        let path = folder.path().join(name);
        let keystore = Keystore::open(&path, &key()).expect("opens");
        fill(&keystore);
        assert!(fs::metadata(&path).expect("a file").len() > 0, "{name}");
    }
    assert_eq!(folder.names().len(), 10, "each with its lock file");
}

#[test]
fn keystores_in_memory_know_nothing_of_each_other() {
    let (one, two) = (
        Keystore::in_memory().expect("opens"),
        Keystore::in_memory().expect("opens"),
    );
    fill(&one);
    assert_eq!(one.rows().list_all(Entity::Tree).expect("readable").len(), 60);
    assert_eq!(two.rows().list_all(Entity::Tree).expect("readable").len(), 0);
    one.rows().idle().expect("nothing to do");
    one.close().expect("a clean close");
}

#[cfg(unix)]
mod links {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_symbolic_link_is_the_keystore_it_points_to() {
        let folder = Folder::new();
        let alice = folder.open();
        fill(&alice);
        let link = folder.path().join("link.db");
        symlink("alice.db", &link).expect("linked");
        assert_eq!(refusal(&link, &key()).code(), Code::DatabaseInUse);
        drop(alice);
        let by_link = Keystore::open(&link, &key()).expect("opens");
        assert_eq!(folder.refusal(&key()), Code::DatabaseInUse);
        assert_eq!(by_link.rows().list_all(Entity::Tree).expect("readable").len(), 60);
    }

    #[test]
    fn what_is_no_keystore_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new();
        for (bytes, expected) in [
            (vec![b'x'; 5000], Code::DatabaseKeyWrong),
            (vec![], Code::DatabaseCorrupt),
        ] {
            fs::write(folder.database(), bytes).expect("written");
            fs::set_permissions(folder.database(), fs::Permissions::from_mode(0o644)).expect("set");
            assert_eq!(folder.refusal(&key()), expected);
            let mode = fs::metadata(folder.database()).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o644);
        }
    }

    /// A folder, a file, or what the lock file would be, that may not be written.
    #[test]
    fn what_cannot_be_written_is_named() {
        use std::os::unix::fs::PermissionsExt;
        const TEST: &str = "links::what_cannot_be_written_is_named";
        if let Some(database) = child::part() {
            let error = refusal(database, &key());
            assert_eq!(error.code(), Code::DatabaseIo);
            child::say(&format!("said: {error}"));
            return;
        }
        let folder = Folder::new();
        fill(&folder.open());
        let mode = |path: &std::path::Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        };
        let lock = folder.path().join("alice.db.lock");
        let said = || child::said_by_nobody(TEST, &folder.database(), "said: ");
        for path in [folder.path(), &lock] {
            mode(path, 0o777);
        }
        mode(&folder.database(), 0o444);
        assert_eq!(
            said(),
            "Cannot open the keystore's file: its file or folder cannot be written. Check the permissions."
        );
        fs::remove_file(&lock).expect("removed");
        mode(folder.path(), 0o555);
        assert_eq!(
            said(),
            "Cannot open the lock file in the keystore's folder: its file or folder cannot be written. Check the permissions."
        );
        mode(folder.path(), 0o755);
        folder.open();
    }

    #[test]
    fn what_is_in_the_place_of_a_file_is_neither_followed_nor_waited_for() {
        let folder = Folder::new();
        let pipe = |path: &std::path::Path| {
            let made = std::process::Command::new("mkfifo").arg(path).status();
            assert!(made.expect("mkfifo is there").success());
        };
        for suffix in [".lock", "-wal", "-journal", "-creating"] {
            let place = folder.path().join(format!("alice.db{suffix}"));
            let makes: [&dyn Fn(); 4] = [
                &|| symlink("/nonexistent/x", &place).expect("linked"),
                &|| symlink("elsewhere", &place).expect("linked"),
                &|| pipe(&place),
                &|| fs::create_dir(&place).expect("created"),
            ];
            fs::write(folder.path().join("elsewhere"), b"precious").expect("written");
            for make in makes {
                make();
                let error = refusal(folder.database(), &key());
                assert_eq!(error.code(), Code::DatabaseIo, "{suffix}: {error}");
                assert!(error.to_string().contains("Remove that."), "{error}");
                if place.is_dir() {
                    fs::remove_dir(&place).expect("still there");
                } else {
                    fs::remove_file(&place).expect("still there");
                }
                assert_eq!(folder.files(), [("elsewhere".to_owned(), b"precious".to_vec())].into());
            }
        }
        pipe(&folder.database());
        assert_eq!(folder.refusal(&key()), Code::InvalidArgument);
    }

    #[test]
    fn a_link_to_nothing_and_a_second_name_are_refused() {
        let folder = Folder::new();
        symlink("nowhere.db", folder.database()).expect("linked");
        assert_eq!(folder.refusal(&key()), Code::InvalidArgument);
        fs::remove_file(folder.database()).expect("removed");

        fill(&folder.open());
        fs::hard_link(folder.database(), folder.path().join("second.db")).expect("linked");
        assert_eq!(folder.refusal(&key()), Code::InvalidArgument);
        fs::remove_file(folder.path().join("second.db")).expect("removed");
        folder.open();
    }
}

/// What has the name of its lock file, and is none, is the user's.
#[test]
fn nothing_of_the_user_is_written_over() {
    let folder = Folder::new();
    let lock = folder.path().join("alice.db.lock");
    let text = [b'x'; 9000];
    std::fs::write(&lock, text).expect("written");
    assert_eq!(folder.refusal(&key()), Code::DatabaseIo);
    assert_eq!(std::fs::read(&lock).expect("its bytes"), text);
    for name in ["a.db.lock", "a.db-creating", "a.db-wal"] {
        assert_eq!(refusal(folder.path().join(name), &key()).code(), Code::InvalidArgument);
    }
    assert_eq!(folder.names(), ["alice.db.lock"]);
}
