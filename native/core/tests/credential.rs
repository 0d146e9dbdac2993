//! Credentials that are changed and removed.

mod support;

use conclave_core::conversation::commit::Request;
use conclave_core::conversation::received::What;
use conclave_core::credential::Credential;
use conclave_core::error::Code;
use support::{Client, TEAM, client, pair, team};

/// A second credential of this client: its reference.
fn second(client: &mut Client, suite: u16) -> Vec<u8> {
    let identity = Credential::Basic(client.name.as_bytes().to_vec());
    let added = client.step(|session| session.add_credential(suite, identity));
    added.expect("the suite is supported").reference.to_vec()
}

/// The signature keys by which these messages were signed.
fn keys_of_senders(client: &mut Client, messages: &[&[u8]]) -> Vec<Vec<u8>> {
    let told = client.receive(messages).into_iter();
    told.map(|what| match what {
        What::Message { sender, .. } => sender.signature_key,
        other => panic!("{other:?}"),
    })
    .collect()
}

fn own_key(client: &mut Client) -> Vec<u8> {
    let members = client.session.members(TEAM).expect("it is a member");
    let own = members.iter().find(|member| member.client_id == client.name.as_bytes());
    own.expect("it is a member").signature_key.clone()
}

#[test]
fn alice_takes_another_credential_and_everybody_goes_on() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let mut alice = team(&mut [&mut bob]);
    let before = own_key(&mut alice);
    let late = alice.send("signed with the old key, read late");
    let other = second(&mut alice, 1);
    let staged = alice.stage(Request::credential(other.clone()));
    let during = alice.send("signed with the old key, while the commit is on its way");
    alice.merge(&staged);
    let after = own_key(&mut alice);
    assert_ne!(before, after);
    assert_eq!(staged.change.updated[0].signature_key, after);
    let told = bob.receive(&[&staged.commit]);
    let What::Commit { change, by, .. } = &told[0] else {
        panic!("{told:?}")
    };
    assert_eq!(*change, staged.change);
    assert_eq!(
        by.as_ref().expect("it is alice").signature_key,
        before,
        "it is signed with the old key"
    );
    let new = alice.send("signed with the new key");
    assert_eq!(
        keys_of_senders(&mut bob, &[&late, &during, &new]),
        [before.clone(), before, after]
    );
    let invitation = alice.commit(Request::add(vec![carol.invitee()]));
    carol.join(&invitation);
    bob.receive(&[&invitation.commit]);
    let hello = alice.send("hello");
    assert_eq!(carol.read(&[&hello]), ["hello"]);
    assert_eq!(bob.authenticator(), carol.authenticator());
}

#[test]
fn lost_to_another_commit_it_is_built_again_with_the_same_signature_key() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let other = second(&mut alice, 1);
    let lost = alice.stage(Request::credential(other));
    let winner = bob.commit(Request::update());
    let receipt = alice.receipt(&[&winner.commit]);
    assert!(!receipt.settled[0].merged);
    let old = alice.send("still the old key");
    assert_eq!(bob.read(&[&old]), ["still the old key"]);
    let again = alice.commit_again(&lost.intent);
    assert_eq!(
        again.change.updated[0].signature_key,
        lost.change.updated[0].signature_key
    );
    bob.receive(&[&again.commit]);
    let new = alice.send("the new key");
    assert_eq!(bob.read(&[&new]), ["the new key"]);
    assert_eq!(alice.authenticator(), bob.authenticator());
}

#[test]
fn refused_it_leaves_the_old_credential_and_its_own_can_be_removed() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let before = own_key(&mut alice);
    let other = second(&mut alice, 1);
    let refused = alice.stage(Request::credential(other.clone()));
    assert_eq!(
        alice.code_of(|session| session.remove_credential(&other)),
        Code::CredentialInUse
    );
    alice
        .step(|session| session.clear_commit(TEAM, &refused.commit_id))
        .expect("it can be cleared");
    assert_eq!(own_key(&mut alice), before);
    alice
        .step(|session| session.remove_credential(&other))
        .expect("nothing uses it");
    let update = alice.commit(Request::update());
    bob.receive(&[&update.commit]);
    let hello = alice.send("hello");
    assert_eq!(bob.read(&[&hello]), ["hello"]);
}

#[test]
fn its_echo_brings_the_credential_before_the_answer_does() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let other = second(&mut alice, 1);
    let staged = alice.stage(Request::credential(other));
    bob.receive(&[&staged.commit]);
    let told = alice.receive(&[&staged.commit]);
    assert!(matches!(told[0], What::Commit { own: true, .. }), "{told:?}");
    let hello = alice.send("hello");
    assert_eq!(
        keys_of_senders(&mut bob, &[&hello]),
        [staged.change.updated[0].signature_key.clone()]
    );
}

#[test]
fn who_was_to_be_removed_is_removed_with_another_signature_key_too() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let mut alice = team(&mut [&mut bob, &mut carol]);
    let lost = bob.stage(Request::remove(vec![b"alice".as_slice().into()]));
    let other = second(&mut alice, 1);
    let change = alice.commit(Request::credential(other));
    bob.receive(&[&change.commit]);
    let removal = bob.commit_again(&lost.intent);
    assert_eq!(removal.change.removed[0].client_id, b"alice");
    let told = alice.receive(&[&removal.commit]);
    assert!(matches!(told[0], What::Commit { active: false, .. }), "{told:?}");
}

#[test]
fn the_present_credential_is_given_fresh_keys() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let before = own_key(&mut alice);
    let present = alice.credential.clone();
    let update = alice.commit(Request::credential(present));
    assert_eq!(own_key(&mut alice), before);
    bob.receive(&[&update.commit]);
    assert_eq!(alice.authenticator(), bob.authenticator());
}

#[test]
fn a_credential_that_does_not_fit_is_refused_and_nothing_happens() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let epoch = alice.epoch();
    let foreign = second(&mut alice, 2);
    let code = |client: &mut Client, reference: Vec<u8>| {
        client.code_of(|session| session.stage_commit(TEAM, Request::credential(reference)))
    };
    assert_eq!(code(&mut alice, foreign), Code::CipherSuiteUnsupported);
    let bobs = bob.credential.clone();
    assert_eq!(code(&mut alice, bobs), Code::CredentialNotFound);
    assert_eq!(alice.epoch(), epoch);
    alice.stage(Request::update());
}

#[test]
fn a_credential_is_removed_with_its_key_packages_and_not_while_a_conversation_needs_it() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let first = alice.credential.clone();
    let invitee = alice.invitee();
    let other = second(&mut alice, 1);
    alice
        .step(|session| session.generate_key_packages(&other, 2, None, false))
        .expect("they can be made");
    assert_eq!(
        alice.code_of(|session| session.remove_credential(&first)),
        Code::CredentialInUse
    );
    assert_eq!(alice.session.key_packages().expect("they can be listed").len(), 3);
    let change = alice.commit(Request::credential(other.clone()));
    bob.receive(&[&change.commit]);
    alice
        .step(|session| session.remove_credential(&first))
        .expect("nothing uses it any more");
    let left = alice.session.credentials().expect("they can be listed");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].reference.to_vec(), other);
    assert_eq!(alice.session.key_packages().expect("they can be listed").len(), 2);
    assert_eq!(
        alice.code_of(|session| session.remove_credential(&first)),
        Code::CredentialNotFound
    );

    let credential = bob.credential.clone();
    let staged = bob
        .step(|session| session.stage_create(b"other", &credential, vec![invitee], false))
        .expect("its bytes are still good");
    let welcome = staged.welcome.expect("it adds somebody");
    assert_eq!(
        alice.code_of(|session| session.join_by_welcome(&welcome, false)),
        Code::WelcomeWithoutKeyPackage
    );
    let hello = alice.send("hello");
    assert_eq!(bob.read(&[&hello]), ["hello"]);
}

#[test]
fn every_cipher_suite_lets_a_member_change_its_credential() {
    for suite in 1..=3 {
        let (mut alice, mut bob) = pair(suite);
        let other = second(&mut alice, suite);
        let change = alice.commit(Request::credential(other));
        bob.receive(&[&change.commit]);
        let hello = alice.send("hello");
        assert_eq!(bob.read(&[&hello]), ["hello"], "suite {suite}");
    }
}
