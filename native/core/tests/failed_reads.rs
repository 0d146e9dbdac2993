//! A read of the keystore's file that fails while it is open: nothing of what was under way stays,
//! and the next open tells whether there is damage.
#![allow(missing_docs, reason = "a test binary")]

mod keystore_support;

use std::fs;

use conclave_core::credential::Credential;
use conclave_core::error::Code;
use conclave_core::session::Session;
use keystore_support::{Folder, code, key};

const TEAM: &[u8] = b"team";
const FAMILY: &[u8] = b"family";

/// Alice, in a conversation, with more in her keystore than SQLite's cache holds.
fn alice(folder: &Folder) -> Session {
    let mut session = Session::new(folder.open());
    session.step(|session| session.bind(b"alice")).expect("it is hers");
    let credential = session
        .step(|session| session.add_credential(1, Credential::Basic(b"alice".to_vec())))
        .expect("the suite is supported");
    for id in [TEAM, FAMILY] {
        session
            .step(|session| session.create_conversation(id, &credential.reference, false))
            .expect("it can be created");
    }
    for number in 0..24 {
        session
            .step(|session| session.set_data(&format!("large {number}"), Some(&vec![number; 1024 * 1024])))
            .expect("there is room");
    }
    session.store().expect("there is room");
    session.idle().expect("into the database");
    session
}

/// Nothing else is in the cache after that.
fn read_all(session: &Session) {
    for number in 0..24 {
        session.data(&format!("large {number}")).expect("it can be read");
    }
}

/// Damages every page but the first; answers how the file was.
fn damage(folder: &Folder) -> Vec<u8> {
    let whole = fs::read(folder.database()).expect("its bytes");
    let mut damaged = whole.clone();
    damaged.chunks_exact_mut(4096).skip(1).for_each(|page| page[1000] ^= 1);
    fs::write(folder.database(), damaged).expect("written");
    whole
}

#[test]
fn a_transaction_that_fails_by_it_leaves_nothing_that_is_pending() {
    let folder = Folder::new();
    let mut session = alice(&folder);
    session.begin().expect("none is open");
    session
        .step(|session| session.encrypt(TEAM, b"hello", b""))
        .expect("it can be encrypted");
    session
        .step(|session| session.set_data("marker", Some(b"of a transaction that failed")))
        .expect("there is room");
    read_all(&session);
    let whole = damage(&folder);
    // Its end has to read which generations were used.
    assert_eq!(code(session.commit()), Some(Code::DatabaseIo));
    fs::write(folder.database(), whole).expect("written");

    assert!(!session.in_transaction());
    assert_eq!(
        code(session.data("marker")),
        Some(Code::DatabaseIo),
        "it is not pending"
    );
    let after = session.step(|session| session.set_data("after", Some(b"1")));
    assert_eq!(code(after), None, "it is in memory alone");
    assert_eq!(code(session.store()), Some(Code::DatabaseIo));
    assert_eq!(
        code(session.step(|session| session.encrypt(TEAM, b"again", b""))),
        Some(Code::DatabaseIo)
    );
    assert_eq!(code(session.close()), Some(Code::DatabaseIo));

    let mut session = Session::new(folder.open());
    session.step(|session| session.bind(b"alice")).expect("it is hers");
    for gone in ["marker", "after"] {
        assert_eq!(session.data(gone).expect("it can be read"), None);
    }
    session
        .step(|session| session.encrypt(TEAM, b"again", b""))
        .expect("all is well");
    session.store().expect("there is room");
}

#[test]
fn a_failed_read_of_a_conversation_is_not_its_damage() {
    let folder = Folder::new();
    let session = alice(&folder);
    session.close().expect("it can be closed");
    let mut session = Session::new(folder.open());
    session.step(|session| session.bind(b"alice")).expect("it is hers");
    read_all(&session);
    let whole = damage(&folder);
    let failed = session.step(|session| session.encrypt(TEAM, b"hello", b""));
    let error = failed.expect_err("its group cannot be read");
    assert_eq!(error.code(), Code::DatabaseIo);
    assert!(error.to_string().contains("Close the database and open it again"));
    // Nothing is deleted for it, either.
    assert_eq!(code(session.step(|session| session.wipe(TEAM))), Some(Code::DatabaseIo));
    assert_eq!(folder.refusal(&key()), Code::DatabaseInUse);
    drop(session);
    assert_eq!(folder.refusal(&key()), Code::DatabaseCorrupt, "the next open says so");
    fs::write(folder.database(), whole).expect("written");
    let mut session = Session::new(folder.open());
    session.step(|session| session.bind(b"alice")).expect("it is hers");
    for id in [TEAM, FAMILY] {
        session
            .step(|session| session.encrypt(id, b"hello", b""))
            .expect("all is well");
    }
}
