//! Transactions: what is taken back, and what must never be.

mod support;

use conclave_core::conversation::commit::Request;
use conclave_core::conversation::received::{Ignored, What};
use conclave_core::error::Code;
use conclave_core::keystore::{DatabaseKey, Keystore};
use support::{Client, TEAM, client, client_with, founded, team, texts};

fn key() -> DatabaseKey {
    DatabaseKey::try_from([7; 32].as_slice()).expect("32 bytes")
}

/// Every message decrypts at the receiver: no generation was used twice.
fn all_decrypt(receiver: &mut Client, messages: &[Vec<u8>]) {
    for message in messages {
        let told = receiver.receive(&[message]);
        assert!(matches!(told[0], What::Message { .. }), "{told:?}");
    }
}

#[test]
fn what_was_encrypted_in_a_transaction_that_is_taken_back_still_decrypts() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let mut sent = vec![alice.send("before")];
    for _ in 0..3 {
        alice.session.begin().expect("none is open");
        sent.push(alice.send("taken back"));
        sent.push(alice.send("taken back too"));
        alice.session.rollback().expect("one is open");
        sent.push(alice.send("between"));
    }
    alice.session.begin().expect("none is open");
    sent.push(alice.send("kept"));
    alice.session.commit().expect("one is open");
    sent.push(alice.send("after"));
    all_decrypt(&mut bob, &sent);
}

#[test]
fn what_was_sent_by_a_transaction_that_is_taken_back_is_known_as_ones_own() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    alice.session.begin().expect("none is open");
    let sent = alice.send("taken back");
    alice.session.rollback().expect("one is open");
    assert!(matches!(alice.receive(&[&sent])[0], What::Ignored(Ignored::Own)));
    // Also when only a part is taken back, and the rest is kept.
    alice.session.begin().expect("none is open");
    let mark = alice.session.mark().expect("one is open");
    let part = alice.send("a part");
    alice.session.rollback_to(mark).expect("it is there");
    let kept = alice.send("kept");
    alice.session.commit().expect("one is open");
    for message in [&sent, &part, &kept] {
        assert!(matches!(alice.receive(&[message])[0], What::Ignored(Ignored::Own)));
    }
    all_decrypt(&mut bob, &[sent, part, kept]);
}

#[test]
fn coming_back_to_an_epoch_does_not_come_back_to_its_generations() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let commit = bob.commit(Request::update());
    alice.session.begin().expect("none is open");
    assert!(matches!(alice.receive(&[&commit.commit])[0], What::Commit { .. }));
    let mut sent = vec![alice.send("in the new epoch, and taken back")];
    alice.session.rollback().expect("one is open");
    assert_eq!(alice.epoch(), commit.epoch);
    alice.receive(&[&commit.commit]);
    sent.push(alice.send("in the new epoch again"));
    all_decrypt(&mut bob, &sent);
}

#[test]
fn joining_is_taken_back_with_its_key_package_and_its_generations_stay_used() {
    let mut bob = client("bob");
    let (mut alice, staged) = founded(&mut [&mut bob], false);
    bob.session.begin().expect("none is open");
    bob.join(&staged);
    let mut sent = vec![bob.send("taken back")];
    bob.session.rollback().expect("one is open");
    assert_eq!(bob.code_of(|session| session.epoch(TEAM)), Code::ConversationNotFound);
    bob.join(&staged);
    sent.push(bob.send("kept"));
    all_decrypt(&mut alice, &sent);
}

#[test]
fn a_failed_step_undoes_only_itself() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    alice.session.begin().expect("none is open");
    alice
        .step(|session| session.set_data("cursor", Some(b"1")))
        .expect("it fits");
    let sent = alice.send("kept");
    assert_eq!(
        alice.code_of(|session| session.stage_commit(TEAM, Request::add(vec![]))),
        Code::InvalidArgument
    );
    alice.session.commit().expect("one is open");
    assert_eq!(
        alice.session.data("cursor").expect("it can be read").as_deref(),
        Some(&b"1"[..])
    );
    all_decrypt(&mut bob, &[sent, alice.send("after")]);
}

#[test]
fn a_transaction_comes_back_to_its_mark() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let (one, two) = (alice.send("one"), alice.send("two"));
    bob.session.begin().expect("none is open");
    assert_eq!(bob.read(&[&one]), ["one"]);
    let mark = bob.session.mark().expect("a transaction is open");
    assert_eq!(bob.read(&[&two]), ["two"]);
    bob.step(|session| session.set_data("cursor", Some(b"2")))
        .expect("it fits");
    bob.session.rollback_to(mark).expect("the mark is there");
    bob.session.commit().expect("one is open");
    assert_eq!(bob.session.data("cursor").expect("it can be read"), None);
    assert!(bob.read(&[&one]).is_empty(), "it was received before the mark");
    assert_eq!(bob.read(&[&two]), ["two"]);
}

#[test]
fn what_was_encrypted_after_a_mark_stays_used_when_the_transaction_comes_back_to_it_and_is_kept() {
    for before in 0..2 {
        let mut bob = client("bob");
        let mut alice = team(&mut [&mut bob]);
        alice.session.begin().expect("none is open");
        let mut sent: Vec<_> = (0..before).map(|_| alice.send("before")).collect();
        let mark = alice.session.mark().expect("a transaction is open");
        sent.push(alice.send("taken back"));
        sent.push(alice.send("taken back too"));
        alice.session.rollback_to(mark).expect("the mark is there");
        alice.session.commit().expect("one is open");
        sent.push(alice.send("after"));
        sent.push(alice.send("and once more"));
        all_decrypt(&mut bob, &sent);
    }
}

#[test]
fn key_packages_that_were_handed_out_can_be_joined_with_whatever_became_of_their_transaction() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bob.db");
    let mut bob = support::client_with("bob", 1, Keystore::open(&path, &key()).expect("it can be created"));
    bob.session.begin().expect("none is open");
    let invitee = bob.invitee();
    drop(bob);
    let mut alice = client("alice");
    let credential = alice.credential.clone();
    let staged = alice
        .step(|session| session.stage_create(TEAM, &credential, vec![invitee], false))
        .expect("it can be founded");
    alice.merge(&staged);
    let mut bob = client_with("bob", 1, Keystore::open(&path, &key()).expect("it can be opened"));
    bob.join(&staged);
    assert_eq!(bob.member_names(), ["alice", "bob"]);
}

#[test]
fn everything_goes_on_after_a_reopen_at_any_point() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bob.db");
    let reopened = |bob: Client| -> Client {
        let (credential, name) = (bob.credential.clone(), bob.name);
        bob.session.close().expect("it can be closed");
        let mut session =
            conclave_core::session::Session::new(Keystore::open(&path, &key()).expect("it can be opened"));
        session.bind(name.as_bytes()).expect("it is bob's");
        Client {
            session,
            credential,
            name,
        }
    };
    let mut bob = client_with("bob", 1, Keystore::open(&path, &key()).expect("it can be created"));
    let mut alice = team(&mut [&mut bob]);
    let mut sent = Vec::new();
    for round in 0..3 {
        let hello = alice.send("hello");
        bob = reopened(bob);
        assert_eq!(bob.read(&[&hello]), ["hello"]);
        bob = reopened(bob);
        sent.push(bob.send("hi"));
        let staged = bob.stage(Request::update());
        bob = reopened(bob);
        let stored = bob
            .session
            .staged_commit(TEAM)
            .expect("it can be read")
            .expect("it is staged");
        assert_eq!(
            (stored.commit_id, stored.commit.clone()),
            (staged.commit_id, staged.commit.clone())
        );
        if round == 1 {
            bob.receive(&[&staged.commit]);
        } else {
            bob.merge(&staged);
        }
        bob = reopened(bob);
        let received = alice
            .receipt(&[sent.last().expect("one was sent"), &staged.commit])
            .received;
        assert_eq!(texts(&received), ["hi"]);
        assert_eq!(alice.authenticator(), bob.authenticator());
    }
}

#[test]
fn a_kill_inside_a_transaction_burns_what_was_reserved() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.db");
    let mut bob = client("bob");
    let mut alice = client_with("alice", 1, Keystore::open(&path, &key()).expect("it can be created"));
    let credential = alice.credential.clone();
    let invitees = vec![bob.invitee()];
    let staged = alice
        .step(|session| session.stage_create(TEAM, &credential, invitees, false))
        .expect("it can be founded");
    alice.merge(&staged);
    bob.join(&staged);
    let mut sent = Vec::new();
    for _ in 0..3 {
        alice.session.begin().expect("none is open");
        sent.extend((0..40).map(|_| alice.send("never stored")));
        // Dropped without an end, as a kill would.
        drop(alice);
        alice = client_with("alice", 1, Keystore::open(&path, &key()).expect("it can be opened"));
        sent.push(alice.send("after"));
    }
    all_decrypt(&mut bob, &sent);
}

#[test]
fn a_transaction_uses_up_one_generation_for_each_message() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    alice.session.begin().expect("none is open");
    for _ in 0..500 {
        alice.send("lost on the way");
    }
    let mark = alice.session.mark().expect("one is open");
    let taken_back: Vec<_> = (0..500).map(|_| alice.send("taken back")).collect();
    alice.session.rollback_to(mark).expect("the mark is there");
    let mut sent: Vec<_> = (0..500).map(|_| alice.send("kept")).collect();
    alice.session.commit().expect("one is open");
    sent.push(alice.send("after"));
    // Bob skips no more than 2,000: there is no room for generations that nobody has used.
    all_decrypt(&mut bob, &sent[499..]);
    all_decrypt(&mut bob, &taken_back[499..]);
}

#[test]
fn another_client_cannot_use_the_keystore() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.db");
    let alice = client_with("alice", 1, Keystore::open(&path, &key()).expect("it can be created"));
    alice.session.close().expect("it can be closed");
    let mut session = conclave_core::session::Session::new(Keystore::open(&path, &key()).expect("it can be opened"));
    assert_eq!(
        session.bind(b"mallory").expect_err("it is alice's").code(),
        Code::ClientMismatch
    );
}
