//! Joining from outside, and healing by it.

mod support;

use conclave_core::conversation::commit::{MergeOutcome, Request, StagedCommit};
use conclave_core::conversation::external_join::JoinFate;
use conclave_core::conversation::received::What;
use conclave_core::error::Code;
use support::{Client, TEAM, client, founded};

/// Alice's team with bob, open to whoever joins from outside.
fn open_team(bob: &mut Client) -> Client {
    let (alice, staged) = founded(&mut [bob], true);
    bob.join(&staged);
    alice
}

fn stage_join(client: &mut Client, group_info: &[u8]) -> StagedCommit {
    let credential = client.credential.clone();
    client
        .step(|session| session.stage_external_join(TEAM, &credential, group_info, false))
        .expect("it can be staged")
}

fn group_info(client: &mut Client) -> Vec<u8> {
    client.session.group_info(TEAM).expect("it is a member")
}

fn merge_join(client: &mut Client, staged: &StagedCommit) {
    let merged = client
        .step(|session| session.merge_join(TEAM, &staged.commit_id, false))
        .expect("it can be merged");
    assert_eq!(merged.outcome, MergeOutcome::Merged);
    let first = &merged.received[0];
    assert_eq!((first.message_id, first.epoch), (staged.commit_id, staged.epoch));
    let What::Commit {
        by: None,
        own: true,
        change,
        active: true,
    } = &first.what
    else {
        panic!("{first:?}")
    };
    assert_eq!(change.added, client.session.members(TEAM).expect("it is a member"));
}

#[test]
fn dave_joins_from_outside_and_is_there_only_once_accepted() {
    let (mut bob, mut dave) = (client("bob"), client("dave"));
    let mut alice = open_team(&mut bob);
    let staged = stage_join(&mut dave, &group_info(&mut alice));
    assert!(dave.session.conversations().expect("they can be listed").is_empty());
    assert_eq!(dave.code_of(|session| session.epoch(TEAM)), Code::ConversationNotFound);
    assert_eq!(dave.session.unsettled_commits().expect("they can be listed").len(), 1);
    merge_join(&mut dave, &staged);
    assert!(dave.session.unsettled_commits().expect("they can be listed").is_empty());
    for member in [&mut alice, &mut bob] {
        let told = member.receive(&[&staged.commit]);
        let What::Commit { by: None, change, .. } = &told[0] else {
            panic!("{told:?}")
        };
        assert_eq!(change.added, staged.change.added);
        assert_eq!(change.added[0].client_id, b"dave");
    }
    let hello = dave.send("hello");
    assert_eq!(bob.read(&[&hello]), ["hello"]);
    let hi = alice.send("hi");
    assert_eq!(dave.read(&[&hi]), ["hi"]);
    assert_eq!(dave.authenticator(), alice.authenticator());
}

#[test]
fn the_echo_of_the_own_external_commit_is_its_acceptance() {
    let (mut bob, mut dave) = (client("bob"), client("dave"));
    let mut alice = open_team(&mut bob);
    let staged = stage_join(&mut dave, &group_info(&mut alice));
    alice.receive(&[&staged.commit]);
    let early = alice.send("early");
    assert!(matches!(dave.receive(&[&early])[0], What::Waiting { .. }));
    let receipt = dave.receipt(&[&staged.commit]);
    assert!(
        matches!(&receipt.received[0].what, What::Commit { own: true, .. }),
        "{receipt:?}"
    );
    assert!(receipt.settled[0].merged);
    assert_eq!(support::texts(&receipt.received), ["early"]);
    let merged = dave
        .step(|session| session.merge_join(TEAM, &staged.commit_id, false))
        .expect("it is told");
    assert_eq!(merged.outcome, MergeOutcome::Before);
}

#[test]
fn a_newer_group_info_tells_what_became_of_it() {
    let (mut bob, mut dave) = (client("bob"), client("dave"));
    let mut alice = open_team(&mut bob);
    let fate = |dave: &mut Client, staged: &StagedCommit, info: Vec<u8>| {
        dave.session
            .judge_join(TEAM, &staged.commit_id, &info)
            .expect("it can be read")
    };
    let staged = stage_join(&mut dave, &group_info(&mut alice));
    assert_eq!(fate(&mut dave, &staged, group_info(&mut alice)), JoinFate::Open);
    let update = alice.commit(Request::update());
    assert_eq!(fate(&mut dave, &staged, group_info(&mut alice)), JoinFate::Lost);
    assert!(
        dave.step(|session| session.drop_join(TEAM, &staged.commit_id))
            .expect("it can be dropped")
    );
    bob.receive(&[&update.commit]);
    let staged = stage_join(&mut dave, &group_info(&mut alice));
    alice.receive(&[&staged.commit]);
    assert_eq!(fate(&mut dave, &staged, group_info(&mut alice)), JoinFate::Accepted);
    let update = alice.commit(Request::update());
    assert_eq!(fate(&mut dave, &staged, group_info(&mut alice)), JoinFate::Accepted);
    merge_join(&mut dave, &staged);
    dave.receive(&[&update.commit]);
    assert_eq!(dave.authenticator(), alice.authenticator());
}

#[test]
fn a_conversation_that_does_not_allow_it_is_not_joined_from_outside() {
    let (mut bob, mut dave) = (client("bob"), client("dave"));
    let mut alice = support::team(&mut [&mut bob]);
    let info = group_info(&mut alice);
    let credential = dave.credential.clone();
    assert_eq!(
        dave.code_of(|session| session.stage_external_join(TEAM, &credential, &info, false)),
        Code::ExternalJoinRefused
    );
    for damaged in [&info[..info.len() - 1], b"", &alice.send("no GroupInfo")] {
        let refused = dave.code_of(|session| session.stage_external_join(TEAM, &credential, damaged, false));
        assert_eq!(refused, Code::GroupInfoInvalid);
    }
    assert!(dave.session.unsettled_commits().expect("they can be listed").is_empty());
}

#[test]
fn bob_heals_a_conversation_that_is_behind() {
    let mut bob = client("bob");
    let mut alice = open_team(&mut bob);
    // Bob loses the commits of three epochs for good.
    for _ in 0..3 {
        alice.commit(Request::update());
    }
    let lost = alice.send("lost");
    assert!(matches!(bob.receive(&[&lost])[0], What::Waiting { .. }));
    let staged = stage_join(&mut bob, &group_info(&mut alice));
    assert_eq!(bob.epoch(), 1, "the old one lives until the new one is accepted");
    assert_eq!(staged.change.removed.len(), 1, "the server is told of the former leaf");
    merge_join(&mut bob, &staged);
    let told = alice.receive(&[&staged.commit]);
    let What::Commit { change, .. } = &told[0] else {
        panic!("{told:?}")
    };
    assert_eq!(
        (
            change.removed[0].client_id.as_slice(),
            change.added[0].client_id.as_slice()
        ),
        (&b"bob"[..], &b"bob"[..])
    );
    assert_eq!(change.removed, staged.change.removed);
    assert_eq!(change.added, staged.change.added);
    assert_eq!(alice.member_names(), ["alice", "bob"]);
    let hello = bob.send("hello");
    assert_eq!(alice.read(&[&hello]), ["hello"]);
    assert_eq!(bob.authenticator(), alice.authenticator());
}

#[test]
fn bob_comes_back_after_he_was_removed() {
    let mut bob = client("bob");
    let mut alice = open_team(&mut bob);
    let removal = alice.commit(Request::remove(vec![b"bob".as_slice().into()]));
    bob.receive(&[&removal.commit]);
    let staged = stage_join(&mut bob, &group_info(&mut alice));
    assert!(!bob.session.active(TEAM).expect("a row stays"));
    merge_join(&mut bob, &staged);
    alice.receive(&[&staged.commit]);
    let hello = bob.send("hello");
    assert_eq!(alice.read(&[&hello]), ["hello"]);
}

#[test]
fn nobody_joins_under_the_name_of_a_member() {
    let (mut bob, mut impostor) = (client("bob"), client("bob"));
    let mut alice = open_team(&mut bob);
    let (credential, info) = (impostor.credential.clone(), group_info(&mut alice));
    let refused = impostor.code_of(|session| session.stage_external_join(TEAM, &credential, &info, false));
    assert_eq!(refused, Code::AlreadyMember);
    assert!(
        impostor
            .session
            .unsettled_commits()
            .expect("they can be listed")
            .is_empty()
    );
    let hello = bob.send("still here");
    assert_eq!(alice.read(&[&hello]), ["still here"]);
}

#[test]
fn a_pending_join_outlives_everything_but_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dave.db");
    let key = || conclave_core::keystore::DatabaseKey::try_from([7; 32].as_slice()).expect("32 bytes");
    let open = || conclave_core::keystore::Keystore::open(&path, &key()).expect("it can be opened");
    let mut bob = client("bob");
    let mut alice = open_team(&mut bob);
    let mut dave = support::client_with("dave", 1, open());
    let staged = stage_join(&mut dave, &group_info(&mut alice));
    assert_eq!(
        dave.step(|session| session.count_attempt(TEAM, &staged.commit_id))
            .expect("it is counted"),
        2
    );
    drop(dave);
    let mut dave = support::client_with("dave", 1, open());
    let found = dave
        .session
        .staged_join(TEAM)
        .expect("it can be read")
        .expect("it is pending");
    assert_eq!((found.commit.clone(), found.attempts), (staged.commit.clone(), 2));
    merge_join(&mut dave, &found);
    alice.receive(&[&found.commit]);
    let hello = dave.send("hello");
    assert_eq!(alice.read(&[&hello]), ["hello"]);
}
