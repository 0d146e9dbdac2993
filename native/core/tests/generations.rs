//! Own ratchet generations: none is used twice, and what is burnt stays within what others skip.

mod support;

use conclave_core::conversation::commit::Request;
use conclave_core::conversation::intent::Invitee;
use conclave_core::conversation::received::{Ignored, Unreadable, What};
use conclave_core::error::Code;
use conclave_core::keystore::{DatabaseKey, Keystore};
use conclave_core::limits::MAX_BURNT;
use conclave_core::session::Session;
use support::foreign::Foreigner;
use support::{Client, TEAM, client, client_with, founded, team};

/// One message, in a transaction that is taken back.
fn give_up(client: &mut Client) -> Result<Vec<u8>, Code> {
    client.session.begin().expect("none is open");
    let sent = client.step(|session| session.encrypt(TEAM, b"given up", b""));
    client.session.rollback().expect("one is open");
    sent.map_err(|error| error.code())
}

#[test]
fn transactions_that_are_taken_back_make_nobody_mute() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    for _ in 0..MAX_BURNT {
        give_up(&mut alice).expect("there is room");
    }
    let last = alice.send("the last that fits");
    assert_eq!(bob.read(&[&last]), ["the last that fits"]);
    // What has arrived is where the others are: counting begins anew.
    for _ in 0..=MAX_BURNT {
        give_up(&mut alice).expect("there is room");
    }
    assert_eq!(give_up(&mut alice), Err(Code::EpochExhausted));
    assert_eq!(
        alice.code_of(|session| session.encrypt(TEAM, b"x", b"")),
        Code::EpochExhausted
    );
    let update = alice.commit(Request::update());
    bob.receive(&[&update.commit]);
    assert_eq!(bob.read(&[&alice.send("in a new epoch")]), ["in a new epoch"]);
}

#[test]
fn a_conversation_that_is_created_anew_owes_nothing_to_the_one_before() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    for _ in 0..3 {
        for _ in 0..MAX_BURNT {
            give_up(&mut alice).expect("there is room");
        }
        alice.session.begin().expect("none is open");
        alice.send("kept");
        alice.session.commit().expect("one is open");
        let update = alice.commit(Request::update());
        bob.receive(&[&update.commit]);
        for client in [&mut alice, &mut bob] {
            client.step(|session| session.wipe(TEAM)).expect("it is there");
        }
        let credential = alice.credential.clone();
        let founding = alice
            .step(|session| session.stage_create(TEAM, &credential, vec![bob.invitee()], false))
            .expect("it can be founded");
        alice.merge(&founding);
        let welcome = founding.welcome.clone().expect("it adds bob");
        // For bob it is a group that others have founded anew.
        assert_eq!(
            bob.code_of(|session| session.join_by_welcome(&welcome, false)),
            Code::RollbackRefused
        );
        bob.step(|session| session.join_by_welcome(&welcome, true))
            .expect("he agrees");
        assert_eq!(bob.read(&[&alice.send("anew")]), ["anew"]);
    }
}

/// Bob is invited by his last-resort key package, together with mallory.
fn invited_by_last_resort() -> (Client, Client, Foreigner, Vec<u8>) {
    let (mut alice, mut bob) = (client("alice"), client("bob"));
    let mut mallory = Foreigner::of("mallory");
    let credential = bob.credential.clone();
    let package = bob
        .step(|session| session.generate_key_packages(&credential, 1, None, true))
        .expect("it can be made")
        .remove(0);
    let invitee = Invitee {
        key_package: package.bytes,
        client_id: None,
    };
    let credential = alice.credential.clone();
    let founding = alice
        .step(|session| session.stage_create(TEAM, &credential, vec![invitee, mallory.invitee()], false))
        .expect("it can be founded");
    alice.merge(&founding);
    bob.join(&founding);
    mallory.join(&founding);
    (alice, bob, mallory, founding.welcome.expect("it adds bob").into_vec())
}

#[test]
fn back_in_the_same_epoch_neither_messages_nor_handshakes_use_a_generation_again() {
    let (_, mut bob, mut mallory, welcome) = invited_by_last_resort();
    let before = [bob.stage(Request::update()).commit, bob.send("one"), bob.send("two")];
    bob.step(|session| session.wipe(TEAM)).expect("it is there");
    assert_eq!(
        bob.code_of(|session| session.join_by_welcome(&welcome, false)),
        Code::RollbackRefused,
        "the Welcome was used"
    );
    bob.step(|session| session.join_by_welcome(&welcome, true))
        .expect("he agrees");
    let after = [bob.stage(Request::update()).commit, bob.send("three")];
    for message in after.iter().chain(&before) {
        mallory.looks_at(message).expect("each has a generation of its own");
    }
}

#[test]
fn back_in_the_same_epoch_after_a_later_one_it_is_the_same() {
    let (mut alice, mut bob, mut mallory, welcome) = invited_by_last_resort();
    let before = [bob.send("one"), bob.send("two")];
    let update = alice.commit(Request::update());
    bob.receive(&[&update.commit]);
    bob.send("in the next epoch");
    bob.step(|session| session.wipe(TEAM)).expect("it is there");
    bob.step(|session| session.join_by_welcome(&welcome, true))
        .expect("he agrees");
    let after = bob.send("three");
    for message in [&after, &before[0], &before[1]] {
        mallory.looks_at(message).expect("each has a generation of its own");
    }
}

#[test]
fn what_a_killed_process_has_sent_in_a_transaction_is_known_as_its_own() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("bob.db");
    let key = || DatabaseKey::try_from([7; 32].as_slice()).expect("32 bytes");
    let mut bob = client_with("bob", 1, Keystore::open(&path, &key()).expect("it can be made"));
    let (mut alice, founding) = founded(&mut [&mut bob], false);
    bob.join(&founding);
    let credential = bob.credential.clone();
    bob.session.begin().expect("none is open");
    let sent: Vec<Vec<u8>> = (0..3).map(|number| bob.send(&number.to_string())).collect();
    bob.session
        .close()
        .expect("it ends there, and nothing of the transaction is stored");

    let mut session = Session::new(Keystore::open(&path, &key()).expect("it is there"));
    session.bind(b"bob").expect("it is his");
    let mut bob = Client {
        session,
        credential,
        name: "bob",
    };
    let own = |told: &What| matches!(told, What::Ignored(Ignored::Own));
    assert!(own(&bob.receive(&[&sent[0]])[0]), "before the rest is burnt");
    let next = bob.send("after the restart");
    assert!(own(&bob.receive(&[&sent[1]])[0]), "after it");
    let update = alice.commit(Request::update());
    bob.receive(&[&update.commit]);
    assert!(own(&bob.receive(&[&sent[2]])[0]), "in the next epoch");
    assert_eq!(
        alice.read(&[&sent[0], &sent[1], &sent[2], &next]),
        ["0", "1", "2", "after the restart"]
    );
}

#[test]
fn a_message_whose_fate_is_known_is_never_told_to_be_lost() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let (of_alice, of_bob) = (alice.send("from alice"), bob.send("from bob"));
    let unseen = bob.send("never received");
    alice.receive(&[&of_bob]);
    bob.receive(&[&of_alice]);
    for _ in 0..8 {
        let update = bob.commit(Request::update());
        alice.receive(&[&update.commit]);
    }
    let told = alice.receive(&[&of_alice, &of_bob, &unseen]);
    assert!(
        matches!(
            told[..],
            [
                What::Ignored(Ignored::Own),
                What::Ignored(Ignored::Duplicate),
                What::Unreadable(Unreadable::EpochTooOld)
            ]
        ),
        "{told:?}"
    );
    // Also when this client has been removed.
    let removal = bob.commit(Request::remove(vec![b"alice".as_slice().into()]));
    alice.receive(&[&removal.commit]);
    let told = alice.receive(&[&of_alice, &of_bob, &unseen]);
    assert!(
        matches!(
            told[..],
            [
                What::Ignored(Ignored::Own),
                What::Ignored(Ignored::Duplicate),
                What::Unreadable(Unreadable::Removed)
            ]
        ),
        "{told:?}"
    );
}

#[test]
fn messages_are_remembered_by_count_and_the_oldest_go() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let first = bob.send("first");
    alice.receive(&[&first]);
    let count = conclave_core::limits::MAX_SEEN + 64;
    let mut messages = Vec::new();
    for _ in 0..count {
        messages.push(
            bob.step(|session| session.encrypt(TEAM, b"", b""))
                .expect("it can be sent"),
        );
    }
    for batch in messages.chunks(500) {
        alice.receive(&batch.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    for _ in 0..6 {
        let update = bob.commit(Request::update());
        alice.receive(&[&update.commit]);
    }
    let told = alice.receive(&[&first, &messages[0], &messages[count - 1], &messages[100]]);
    assert!(
        matches!(told[0], What::Unreadable(Unreadable::EpochTooOld)),
        "{:?}",
        told[0]
    );
    assert!(matches!(told[2], What::Ignored(Ignored::Duplicate)), "{:?}", told[2]);
    assert!(matches!(told[3], What::Ignored(Ignored::Duplicate)), "{:?}", told[3]);
}
