//! Input that is rejected leaves no trace: a client that has seen it and its twin that has not end with the same keystore.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use conclave_core::conversation::commit::Request;
use conclave_core::conversation::received::{Ignored, Unreadable, WaitingFor, What};
use conclave_core::error::Code;
use conclave_core::keystore::{DatabaseKey, Entity, Keystore};
use support::{Client, client, client_with, team};

/// One conversation of alice, bob and carol, seen by two copies of bob. Copies are what no application may make; here they
/// show that what only one of them has seen makes no difference.
struct Twins {
    folder: tempfile::TempDir,
    alice: Client,
    carol: Client,
    /// Sees all that is wrong, too.
    bob: Option<Client>,
    /// Sees the genuine messages only.
    twin: Option<Client>,
}

fn key() -> DatabaseKey {
    DatabaseKey::try_from([7; 32].as_slice()).expect("32 bytes")
}

fn open(path: &Path) -> Client {
    let mut bob = Client {
        session: conclave_core::session::Session::new(Keystore::open(path, &key()).expect("it can be opened")),
        credential: Vec::new(),
        name: "bob",
    };
    bob.session.bind(b"bob").expect("it is his");
    bob
}

impl Twins {
    fn new() -> Twins {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bob.db");
        let mut bob = client_with("bob", 1, Keystore::open(&path, &key()).expect("it can be opened"));
        let mut carol = client("carol");
        let alice = team(&mut [&mut bob, &mut carol]);
        bob.session.close().expect("it can be closed");
        std::fs::copy(&path, folder.path().join("twin.db")).expect("it can be copied");
        let mut twins = Twins {
            folder,
            alice,
            carol,
            bob: None,
            twin: None,
        };
        twins.reopen();
        twins
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn bob(&mut self) -> &mut Client {
        self.bob.as_mut().expect("he is open")
    }

    fn twin(&mut self) -> &mut Client {
        self.twin.as_mut().expect("he is open")
    }

    fn reopen(&mut self) {
        (self.bob, self.twin) = (None, None);
        self.bob = Some(open(&self.path("bob.db")));
        self.twin = Some(open(&self.path("twin.db")));
    }

    /// Bob gets what is wrong with this message, the message, and the wrong once more; his twin only the message.
    fn receive(&mut self, message: &[u8]) {
        self.wrong(message);
        let (bob, twin) = (self.bob().receive(&[message]), self.twin().receive(&[message]));
        assert_eq!(format!("{bob:?}"), format!("{twin:?}"));
        assert!(
            matches!(
                bob[0],
                What::Message { .. } | What::Commit { .. } | What::Proposal { .. }
            ),
            "{bob:?}"
        );
        self.wrong(message);
        let again = self.bob().receive(&[message]);
        assert!(
            matches!(again[0], What::Ignored(Ignored::Duplicate | Ignored::StaleHandshake)),
            "{again:?}"
        );
    }

    /// Cut, extended, and with a bit changed everywhere that matters.
    fn wrong(&mut self, message: &[u8]) {
        let bob = self.bob();
        for length in [0, 1, 3, message.len() / 2, message.len() - 1] {
            let told = bob.receive(&[&message[..length]]);
            assert!(matches!(told[0], What::Rejected(Code::MessageInvalid, _)), "{told:?}");
        }
        let told = bob.receive(&[&[message, b"more"].concat()]);
        assert!(matches!(told[0], What::Rejected(Code::MessageInvalid, _)), "{told:?}");
        // Behind the version, the wire format, the conversation and the epoch, whose forgeries are another message's matter.
        for position in (21..message.len()).step_by(7).chain([message.len() - 1]) {
            let mut tampered = message.to_vec();
            tampered[position] ^= 0x20;
            let told = bob.receive(&[&tampered]);
            let harmless = matches!(
                told[0],
                What::Rejected(..)
                    | What::Ignored(Ignored::StaleHandshake | Ignored::Duplicate)
                    | What::Unreadable(Unreadable::OutsideWindow)
                    | What::Waiting {
                        on: WaitingFor::Proposal,
                        ..
                    }
            );
            assert!(harmless, "byte {position}: {told:?}");
        }
    }

    /// Both keystores have the same rows.
    fn are_equal(&mut self) {
        (self.bob, self.twin) = (None, None);
        let (bob, twin) = (rows(&self.path("bob.db")), rows(&self.path("twin.db")));
        assert!(bob.len() > 10);
        assert_eq!(bob.keys().collect::<Vec<_>>(), twin.keys().collect::<Vec<_>>());
        for (id, value) in &bob {
            assert_eq!(Some(value), twin.get(id), "{id:?}");
        }
        self.reopen();
    }
}

/// All rows by kind, conversation and key, without the times in them. OpenMLS writes the state of a group in a varying order, so that one is left out.
fn rows(path: &Path) -> BTreeMap<(Entity, Vec<u8>, Vec<u8>), Vec<u8>> {
    let keystore = Keystore::open(path, &key()).expect("it can be opened");
    let kinds = Entity::ALL.iter().filter(|kind| **kind != Entity::GroupState);
    kinds
        .flat_map(|kind| {
            let rows = keystore.rows().list_all(*kind).expect("they can be read");
            rows.into_iter()
                .map(|(scope, key, value)| ((*kind, scope, key), without_times(&value)))
        })
        .collect()
}

/// The value without the times that OpenMLS notes in it: MessagePack integers behind the names of their fields.
fn without_times(value: &[u8]) -> Vec<u8> {
    let mut rest = value;
    let mut kept = Vec::new();
    while let Some(&first) = rest.first() {
        let name = [&b"nanos_since_epoch"[..], b"secs_since_epoch"]
            .into_iter()
            .find(|name| rest.starts_with(name));
        let Some(name) = name else {
            kept.push(first);
            rest = &rest[1..];
            continue;
        };
        let number = match rest[name.len()] {
            0xcd => 3,
            0xce => 5,
            0xcf => 9,
            _ => 1,
        };
        rest = &rest[name.len() + number..];
    }
    kept
}

#[test]
fn messages_and_commits_after_every_kind_of_damage() {
    let mut twins = Twins::new();
    for round in 0..3 {
        let hello = twins.alice.send("hello");
        twins.receive(&hello);
        twins.carol.receive(&[&hello]);
        let commit = twins.alice.commit(Request::update()).commit;
        twins.receive(&commit);
        twins.carol.receive(&[&commit]);
        let hi = twins.carol.send("hi");
        twins.receive(&hi);
        if round == 1 {
            twins.reopen();
        }
    }
    twins.are_equal();
    let last = twins.alice.send("and on");
    twins.receive(&last);
    twins.are_equal();
}

#[test]
fn inside_a_transaction_that_is_kept_and_in_one_that_is_taken_back() {
    let mut twins = Twins::new();
    let messages = [
        twins.alice.send("one"),
        twins.alice.commit(Request::update()).commit,
        twins.alice.send("two"),
    ];
    twins.bob().session.begin().expect("none is open");
    for message in &messages[..2] {
        twins.wrong(message);
    }
    twins.bob().receive(&[&messages[0], &messages[1]]);
    twins.bob().session.rollback().expect("one is open");
    twins.bob().session.begin().expect("none is open");
    twins.twin().session.begin().expect("none is open");
    for message in &messages {
        twins.receive(message);
    }
    twins.bob().session.commit().expect("one is open");
    twins.twin().session.commit().expect("one is open");
    twins.are_equal();
}

#[test]
fn forgeries_of_somebody_who_is_not_in_the_conversation() {
    let mut twins = Twins::new();
    let (mut mallory, mut other) = (client("mallory"), client("other"));
    // A group of the same name, with members of the same names: all that an outsider can make.
    let mut forger = team(&mut [&mut mallory, &mut other]);
    for _ in 0..2 {
        let forged = [forger.send("forged"), forger.stage(Request::update()).commit];
        for message in &forged {
            let told = twins.bob().receive(&[message]);
            assert!(matches!(told[0], What::Rejected(Code::MessageInvalid, _)), "{told:?}");
        }
        let genuine = twins.alice.send("genuine");
        twins.receive(&genuine);
        let staged = twins.alice.commit(Request::update()).commit;
        twins.receive(&staged);
        twins.carol.receive(&[&staged]);
        forger = team(&mut [&mut client("mallory"), &mut client("other")]);
        forger.commit(Request::update());
    }
    twins.are_equal();
}

#[test]
fn welcomes_with_a_changed_byte_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, copy) = (folder.path().join("bob.db"), folder.path().join("twin.db"));
    let mut bob = client_with("bob", 1, Keystore::open(&path, &key()).expect("it can be opened"));
    let mut alice = team(&mut [&mut client("carol")]);
    let invitee = bob.invitee();
    bob.session.close().expect("it can be closed");
    std::fs::copy(&path, &copy).expect("it can be copied");
    let staged = alice.commit(Request::add(vec![invitee]));
    let welcome = staged.welcome.clone().expect("bob is added");
    let (mut bob, mut twin) = (open(&path), open(&copy));
    for position in (0..welcome.len()).step_by(11) {
        let mut damaged = welcome.clone();
        damaged[position] ^= 0x20;
        bob.step(|session| session.join_by_welcome(&damaged, false))
            .expect_err("it is damaged");
    }
    bob.join(&staged);
    twin.join(&staged);
    let hello = alice.send("hello");
    assert_eq!(bob.read(&[&hello]), twin.read(&[&hello]));
    drop((bob, twin));
    let (bob, twin) = (rows(&path), rows(&copy));
    assert_eq!(bob.keys().collect::<Vec<_>>(), twin.keys().collect::<Vec<_>>());
    assert!(bob.iter().all(|(id, value)| twin.get(id) == Some(value)));
}
