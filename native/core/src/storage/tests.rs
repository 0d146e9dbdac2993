//! Message secrets as they are stored: in rows, and yet the same bytes.

use openmls::prelude::GroupId;
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::{CURRENT_VERSION, Entity as Stored, StorageProvider, traits};
use serde::{Deserialize, Serialize};

use super::place::join;
use crate::codec::Secret;
use crate::conversation::commit::Request;
use crate::conversation::intent::Invitee;
use crate::conversation::receive::ReceiveOptions;
use crate::conversation::received::What;
use crate::conversation::scope_of;
use crate::credential::Credential;
use crate::error::Result;
use crate::keystore::{Entity, Keystore};
use crate::session::Session;

const TEAM: &[u8] = b"team";

/// Alice, bob, and others who never speak.
struct Team {
    alice: Session,
    bob: Session,
}

fn step<R>(session: &mut Session, work: impl FnOnce(&mut Session) -> Result<R>) -> R {
    let result = session.step(work).expect("the step is good");
    session.store().expect("memory takes it");
    result
}

fn client(name: &str) -> (Session, Invitee) {
    let mut session = Session::new(Keystore::in_memory().expect("memory is there"));
    let invitee = step(&mut session, |session| {
        session.bind(name.as_bytes())?;
        let credential = session.add_credential(1, Credential::Basic(name.into()))?;
        let package = session
            .generate_key_packages(&credential.reference, 1, None, false)?
            .remove(0);
        Ok(Invitee {
            key_package: package.bytes,
            client_id: None,
        })
    });
    (session, invitee)
}

impl Team {
    fn of(members: usize) -> Team {
        let (mut alice, _) = client("alice");
        let (mut bob, invitee) = client("bob");
        let mut invitees = vec![invitee];
        invitees.extend((2..members).map(|n| client(&format!("member {n}")).1));
        let founding = step(&mut alice, |alice| {
            let credential = alice.credentials()?.remove(0).reference;
            alice.stage_create(TEAM, &credential, invitees, false)
        });
        step(&mut alice, |alice| alice.merge_commit(TEAM, &founding.commit_id, false));
        step(&mut bob, |bob| {
            bob.join_by_welcome(&founding.welcome.expect("it adds bob"), false)
        });
        Team { alice, bob }
    }
}

fn send(session: &mut Session) -> Vec<u8> {
    step(session, |session| session.encrypt(TEAM, b"hello", b""))
}

fn receive(session: &mut Session, bytes: &[u8]) -> What {
    let receipt = step(session, |session| {
        session.receive(&[bytes.to_vec()], &ReceiveOptions::default())
    });
    receipt.received.into_iter().next().expect("one was given").what
}

fn read(session: &mut Session, bytes: &[u8]) {
    let what = receive(session, bytes);
    assert!(matches!(what, What::Message { .. }), "{what:?}");
}

fn commit(session: &mut Session) -> Vec<u8> {
    let staged = step(session, |session| session.stage_commit(TEAM, Request::update()));
    let staged = staged.expect("an update is work");
    step(session, |session| session.merge_commit(TEAM, &staged.commit_id, false));
    staged.commit
}

fn rows(session: &Session) -> Vec<(Vec<u8>, Secret)> {
    let scope = scope_of(TEAM).expect("a good id");
    let rows = session.provider.rows().list(Entity::MessageSecrets, &scope);
    rows.expect("memory can be read")
}

/// The value that is stored, and the one that OpenMLS gave last, as the codec writes it.
fn stored_and_plain(session: &Session) -> (Secret, Secret) {
    let stored = join(&rows(session)).expect("they are rows of message secrets");
    (stored, session.provider.storage().written.borrow().clone())
}

fn assert_same_bytes(session: &Session, after: &str) {
    let (stored, plain) = stored_and_plain(session);
    assert!(
        stored == plain,
        "after {after}: {} bytes, {} plain",
        stored.len(),
        plain.len()
    );
}

/// Everything that changes message secrets.
fn live(members: usize) {
    let Team { mut alice, mut bob } = Team::of(members);
    assert_same_bytes(&alice, "founding");
    assert_same_bytes(&bob, "joining");
    let mut late = Vec::new();
    for epoch in 0..8 {
        for _ in 0..3 {
            read(&mut bob, &send(&mut alice));
            assert_same_bytes(&alice, "sending");
            assert_same_bytes(&bob, "receiving");
        }
        let skipped = send(&mut bob);
        late.push((send(&mut bob), skipped));
        read(&mut alice, &late[epoch].0);
        assert_same_bytes(&alice, "receiving out of order");
        if epoch % 2 == 0 {
            let update = commit(&mut bob);
            assert_same_bytes(&bob, "merging one's own commit");
            assert!(matches!(receive(&mut alice, &update), What::Commit { .. }));
        } else {
            let update = commit(&mut alice);
            assert!(matches!(receive(&mut bob, &update), What::Commit { .. }));
        }
        assert_same_bytes(&alice, "a commit");
        read(&mut alice, &late[epoch.saturating_sub(3)].1);
        assert_same_bytes(&alice, "receiving late");
        late[epoch.saturating_sub(3)].1 = send(&mut bob);
    }
    // Loaded from what is stored, everything goes on.
    alice.groups.clear();
    read(&mut bob, &send(&mut alice));
    assert_same_bytes(&alice, "loading");
    // A message is taken back with its transaction, and can be received again.
    let hello = send(&mut bob);
    alice.begin().expect("none is open");
    read_in_transaction(&mut alice, &hello);
    alice.rollback().expect("one is open");
    read(&mut alice, &hello);
    assert_same_bytes(&alice, "a rollback");
}

fn read_in_transaction(session: &mut Session, bytes: &[u8]) {
    let receipt = session.step(|session| session.receive(&[bytes.to_vec()], &ReceiveOptions::default()));
    let what = receipt.expect("it can be received").received.remove(0).what;
    assert!(matches!(what, What::Message { .. }), "{what:?}");
}

#[test]
fn the_rows_of_two_members_are_the_plain_value() {
    live(2);
}

#[test]
fn the_rows_of_100_members_are_the_plain_value() {
    live(100);
}

#[test]
fn the_rows_of_1000_members_are_the_plain_value() {
    live(1000);
}

#[test]
fn the_rows_of_a_busy_sender_are_the_plain_value() {
    let Team { mut alice, mut bob } = Team::of(20);
    for _ in 0..3 {
        let mut sent: Vec<_> = (0..900).map(|_| send(&mut bob)).collect();
        // Some come too late, and two of three never.
        sent.rotate_left(300);
        for message in sent.iter().step_by(3) {
            read(&mut alice, message);
        }
        assert_same_bytes(&alice, "many messages");
        let longest = rows(&alice).iter().map(|(_, row)| row.len()).max();
        assert!(longest > Some(1024), "{longest:?}");
        read(&mut bob, &send(&mut alice));
        assert_same_bytes(&alice, "sending beside it");
    }
}

#[test]
fn a_message_among_1000_members_writes_what_one_between_two_writes() {
    let written = [2, 1000].map(|members| {
        let Team { mut alice, mut bob } = Team::of(members);
        let update = commit(&mut bob);
        receive(&mut alice, &update);
        let early = send(&mut bob);
        let update = commit(&mut bob);
        receive(&mut alice, &update);
        // The first message of a sender opens ratchets; those after it count.
        read(&mut alice, &send(&mut bob));
        send(&mut alice);
        let (first, last, late) = (send(&mut bob), send(&mut bob), early);
        read(&mut alice, &first);
        [
            changed(&mut alice, |alice| drop(send(alice))),
            changed(&mut alice, |alice| read(alice, &last)),
            changed(&mut alice, |alice| read(alice, &late)),
        ]
    });
    for (kind, [two, thousand]) in ["sent", "received", "late"].iter().zip(transposed(written)) {
        assert!(
            thousand.len() <= two.len() + 4,
            "{kind}: {} rows, {} of two",
            thousand.len(),
            two.len()
        );
        let bytes = |rows: &[usize]| rows.iter().sum::<usize>();
        assert!(
            bytes(&thousand) <= bytes(&two) + 2048,
            "{kind}: {thousand:?} bytes, {two:?} of two"
        );
    }
}

fn transposed(written: [[Vec<usize>; 3]; 2]) -> [[Vec<usize>; 2]; 3] {
    let [[a, b, c], [x, y, z]] = written;
    [[a, x], [b, y], [c, z]]
}

/// The lengths of the rows that are new or different afterwards.
fn changed(session: &mut Session, work: impl FnOnce(&mut Session)) -> Vec<usize> {
    let before = rows(session);
    work(session);
    let after = rows(session);
    after
        .iter()
        .filter(|row| !before.contains(row))
        .map(|(_, value)| value.len())
        .collect()
}

#[test]
fn a_value_that_an_earlier_release_wrote_is_read_and_becomes_rows() {
    let Team { mut alice, mut bob } = Team::of(30);
    for _ in 0..2 {
        let update = commit(&mut bob);
        receive(&mut alice, &update);
        read(&mut alice, &send(&mut bob));
        let whole = alice.provider.storage().written.borrow().clone();
        let scope = scope_of(TEAM).expect("a good id");
        step(&mut alice, |alice| {
            for (key, _) in rows(alice) {
                alice.provider.rows().delete(Entity::MessageSecrets, &scope, &key);
            }
            alice.provider.rows().put(Entity::MessageSecrets, &scope, &[], whole);
            Ok(())
        });
        alice.groups.clear();
        assert_eq!(rows(&alice).len(), 1);
        read(&mut alice, &send(&mut bob));
        assert_same_bytes(&alice, "receiving");
        assert!(rows(&alice).len() > 5, "it is split");
        read(&mut bob, &send(&mut alice));
    }
}

/// Message secrets of an OpenMLS to come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "MessageSecretsStore")]
struct Later {
    max_epochs: usize,
    past_epoch_trees: Vec<LaterEpoch>,
    message_secrets: LaterSecrets,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "EpochTree")]
struct LaterEpoch {
    epoch: u64,
    leaves: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum LaterSecrets {
    Tree(String),
    #[serde(untagged)]
    Known(KnownSecrets),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "MessageSecrets")]
struct KnownSecrets {
    key: u32,
    secret_tree: KnownTree,
}

/// Nothing stands behind its vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "SecretTree")]
struct KnownTree {
    leaf_nodes: Vec<Option<u32>>,
}

impl Stored<CURRENT_VERSION> for Later {}
impl traits::MessageSecrets<CURRENT_VERSION> for Later {}

#[test]
fn a_value_of_another_shape_is_kept_as_a_whole() {
    let Team { alice, .. } = Team::of(2);
    let storage = alice.provider.storage();
    let group = GroupId::from_slice(b"another");
    let scope = scope_of(b"another").expect("a good id");
    let keys = || {
        let rows = alice.provider.rows().list(Entity::MessageSecrets, &scope);
        let keys = rows.expect("memory can be read").into_iter().map(|(key, _)| key);
        keys.collect::<Vec<_>>()
    };
    let epoch = |epoch| LaterEpoch {
        epoch,
        leaves: vec![1, 2],
    };
    let known = Later {
        max_epochs: 5,
        past_epoch_trees: vec![epoch(3), epoch(4)],
        message_secrets: LaterSecrets::Known(KnownSecrets {
            key: 7,
            secret_tree: KnownTree {
                leaf_nodes: [vec![None; 64], vec![Some(1)], vec![None; 63]].concat(),
            },
        }),
    };
    let other = Later {
        message_secrets: LaterSecrets::Tree("of another kind".into()),
        ..known.clone()
    };
    let unordered = Later {
        past_epoch_trees: vec![epoch(4), epoch(3)],
        ..known.clone()
    };
    for (value, whole) in [
        (&other, true),
        (&known, false),
        (&unordered, true),
        (&known, false),
        (&other, true),
    ] {
        storage.write_message_secrets(&group, value).expect("it can be written");
        assert_eq!(keys() == [[0; 0]], whole, "{:?}", keys());
        let read: Option<Later> = storage.message_secrets(&group).expect("it can be read");
        assert_eq!(read.as_ref(), Some(value));
    }
    StorageProvider::<CURRENT_VERSION>::delete_message_secrets(storage, &group).expect("it can be deleted");
    assert!(keys().is_empty());
}

#[test]
fn a_refused_message_changes_nothing_that_is_stored() {
    let Team { mut alice, mut bob } = Team::of(20);
    read(&mut alice, &send(&mut bob));
    let good = send(&mut bob);
    let mut forged = good.clone();
    *forged.last_mut().expect("it has bytes") ^= 1;
    let before = rows(&alice);
    assert!(matches!(receive(&mut alice, &forged), What::Rejected(..)));
    assert!(rows(&alice) == before);
    read(&mut alice, &good);
    assert_same_bytes(&alice, "receiving");
}
