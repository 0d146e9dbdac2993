//! Being behind: a commit that a member has signed was not applied, and the conversation shows it.

mod support;

use std::path::Path;

use conclave_core::conversation::commit::Request;
use conclave_core::conversation::received::What;
use conclave_core::error::Code;
use conclave_core::keystore::{DatabaseKey, Keystore};
use openmls::prelude::{Extension, Extensions, ProposalType, RequiredCapabilitiesExtension};
use support::foreign::Foreigner;
use support::{Client, TEAM, client, client_with};

/// Alice's team with bob and mallory. `open`: to external joins.
fn team_of(alice: &mut Client, bob: &mut Client, open: bool) -> Foreigner {
    let mut mallory = Foreigner::of("mallory");
    let credential = alice.credential.clone();
    let invitees = vec![bob.invitee(), mallory.invitee()];
    let founding = alice
        .step(|session| session.stage_create(TEAM, &credential, invitees, open))
        .expect("it can be founded");
    alice.merge(&founding);
    bob.join(&founding);
    mallory.join(&founding);
    mallory
}

/// A commit of mallory's that everybody with this package refuses.
fn refused_commit(mallory: &mut Foreigner) -> Vec<u8> {
    mallory.commit_add(&[Foreigner::of("bob").invitee()])
}

fn is_stalled(client: &mut Client) -> bool {
    let state = client.session.conversation_state(TEAM).expect("it is there");
    state.stalled.is_some()
}

#[test]
fn it_is_told_once_and_shown_as_long_as_it_lasts() {
    let (mut alice, mut bob) = (client("alice"), client("bob"));
    let mut mallory = team_of(&mut alice, &mut bob, false);
    let commit = refused_commit(&mut mallory);
    let receipt = alice.receipt(&[&commit]);
    assert_eq!(receipt.stalled.len(), 1);
    let told = &receipt.received[0];
    assert_eq!((told.conversation_id.as_deref(), told.epoch), (Some(TEAM), 1));
    let again = alice.receipt(&[&commit]);
    assert!(again.stalled.is_empty() && matches!(again.received[0].what, What::Rejected(..)));
    assert!(is_stalled(&mut alice) && alice.session.active(TEAM).expect("it is there"));
    // Receiving goes on in the epoch that she is in.
    assert_eq!(alice.read(&[&bob.send("are you there?")]), ["are you there?"]);
}

#[test]
fn another_commit_of_the_epoch_ends_it() {
    let (mut alice, mut bob) = (client("alice"), client("bob"));
    let mut mallory = team_of(&mut alice, &mut bob, false);
    alice.receive(&[&refused_commit(&mut mallory)]);
    let other = bob.commit(Request::update());
    assert!(matches!(alice.receive(&[&other.commit])[0], What::Commit { .. }));
    assert!(!is_stalled(&mut alice));
    assert_eq!(bob.read(&[&alice.send("here I am")]), ["here I am"]);
}

#[test]
fn the_own_commit_that_was_on_its_way_ends_it_when_it_is_accepted() {
    let (mut alice, mut bob) = (client("alice"), client("bob"));
    let mut mallory = team_of(&mut alice, &mut bob, false);
    let staged = alice.stage(Request::update());
    alice.receive(&[&refused_commit(&mut mallory)]);
    assert!(is_stalled(&mut alice));
    alice.merge(&staged);
    assert!(!is_stalled(&mut alice));
    bob.receive(&[&staged.commit]);
    assert_eq!(bob.read(&[&alice.send("hello")]), ["hello"]);
}

#[test]
fn it_outlives_a_restart_and_a_new_invitation_ends_it_without_a_wipe() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("alice.db");
    let mut bob = client("bob");
    let mut alice = open(&path, &[]);
    let mut mallory = team_of(&mut alice, &mut bob, false);
    alice.receive(&[&refused_commit(&mut mallory)]);
    let invitation = alice.invitee();
    let credential = alice.credential.clone();
    alice.session.close().expect("it can be closed");
    let mut alice = open(&path, &credential);
    assert!(is_stalled(&mut alice));

    let removal = bob.commit(Request::remove(vec![b"alice".as_slice().into()]));
    let back = bob.commit(Request::add(vec![invitation]));
    // She cannot tell that she was removed: the message waits for the commit that she has refused.
    let _ = removal;
    alice.join(&back);
    assert!(!is_stalled(&mut alice));
    assert_eq!(bob.read(&[&alice.send("back again")]), ["back again"]);
}

fn open(path: &Path, credential: &[u8]) -> Client {
    let key = DatabaseKey::try_from([7; 32].as_slice()).expect("32 bytes");
    let keystore = Keystore::open(path, &key).expect("it can be opened");
    if credential.is_empty() {
        return client_with("alice", 1, keystore);
    }
    let mut session = conclave_core::session::Session::new(keystore);
    session.bind(b"alice").expect("it is hers");
    Client {
        session,
        credential: credential.to_vec(),
        name: "alice",
    }
}

#[test]
fn a_join_from_outside_ends_it_where_that_is_allowed() {
    let (mut alice, mut bob) = (client("alice"), client("bob"));
    let mut mallory = team_of(&mut alice, &mut bob, true);
    let second_bob = Foreigner::of("bob").key_package();
    let (commit, _) = mallory.commit_adds(&[second_bob]);
    alice.receive(&[&commit]);
    let (info, credential) = (mallory.group_info(), alice.credential.clone());
    let staged = alice
        .step(|session| session.stage_external_join(TEAM, &credential, &info, false))
        .expect("it can be joined from");
    assert!(is_stalled(&mut alice), "until it is accepted");
    alice
        .step(|session| session.merge_join(TEAM, &staged.commit_id, false))
        .expect("it is accepted");
    assert!(!is_stalled(&mut alice));
    assert_eq!(alice.member_names(), ["alice", "bob", "mallory", "bob"]);
    mallory.receive(&[&staged.commit]);
    assert_eq!(mallory.receive(&[&alice.send("back")]), ["back"]);
}

#[test]
fn a_welcome_that_leads_no_further_does_not_replace_it() {
    let (mut alice, mut bob) = (client("alice"), client("bob"));
    let mut mallory = team_of(&mut alice, &mut bob, false);
    let mut other_bob = client("other bob");
    let invitation = alice.invitee();
    // Another group of the same id, in the same epoch.
    let credential = other_bob.credential.clone();
    let founding = other_bob
        .step(|session| session.stage_create(TEAM, &credential, vec![invitation], false))
        .expect("it can be founded");
    alice.receive(&[&refused_commit(&mut mallory)]);
    let welcome = founding.welcome.expect("it adds her");
    let code = alice.code_of(|session| session.join_by_welcome(&welcome, true));
    assert_eq!(code, Code::ConversationExists);
    assert!(is_stalled(&mut alice));
}

#[test]
fn a_context_that_all_can_live_with_is_taken() {
    let (mut alice, mut bob) = (client("alice"), client("bob"));
    let mut mallory = team_of(&mut alice, &mut bob, false);
    let required = RequiredCapabilitiesExtension::new(&[], &[ProposalType::SelfRemove], &[]);
    let wanted = Extensions::single(Extension::RequiredCapabilities(required)).expect("it belongs there");
    let commit = mallory
        .try_commit(|plan| {
            plan.propose_group_context_extensions(wanted)
                .expect("it can be proposed")
        })
        .expect("OpenMLS builds it");
    assert!(matches!(alice.receive(&[&commit])[0], What::Commit { .. }));
    bob.receive(&[&commit]);
    let next = alice.commit(Request::update());
    bob.receive(&[&next.commit]);
    assert_eq!(alice.authenticator(), bob.authenticator());
}

#[test]
fn a_forgery_stalls_nothing() {
    let (mut alice, mut bob) = (client("alice"), client("bob"));
    let mut mallory = team_of(&mut alice, &mut bob, false);
    let commit = refused_commit(&mut mallory);
    for place in (0..commit.len()).step_by(7) {
        let mut damaged = commit.clone();
        damaged[place] ^= 1;
        let receipt = alice.receipt(&[&damaged]);
        assert!(receipt.stalled.is_empty(), "byte {place}");
    }
    assert!(!is_stalled(&mut alice));
}
