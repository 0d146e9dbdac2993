//! Nothing older than the newest known epoch without consent: Welcomes and GroupInfos of long ago.

mod support;

use conclave_core::conversation::commit::{MergeOutcome, Request};
use conclave_core::conversation::intent::Invitee;
use conclave_core::conversation::received::What;
use conclave_core::error::Code;
use support::{Client, TEAM, client, founded};

fn group_info(client: &mut Client) -> Vec<u8> {
    client.session.group_info(TEAM).expect("it is a member")
}

fn join_from(client: &mut Client, info: &[u8], allowed: bool) -> Result<u64, Code> {
    let credential = client.credential.clone();
    let staged = client
        .step(|session| session.stage_external_join(TEAM, &credential, info, allowed))
        .map_err(|error| error.code())?;
    let merged = client
        .step(|session| session.merge_join(TEAM, &staged.commit_id, false))
        .expect("it can be merged");
    assert_eq!(merged.outcome, MergeOutcome::Merged);
    Ok(merged.epoch)
}

/// Alice's open team with bob, in epoch 4, and the GroupInfo of epoch 1.
fn moved_on(bob: &mut Client) -> (Client, Vec<u8>) {
    let (mut alice, founding) = founded(&mut [bob], true);
    bob.join(&founding);
    let old = group_info(&mut alice);
    for _ in 0..3 {
        let update = alice.commit(Request::update());
        bob.receive(&[&update.commit]);
    }
    (alice, old)
}

#[test]
fn an_old_group_info_takes_no_member_back() {
    let mut bob = client("bob");
    let (mut alice, old) = moved_on(&mut bob);
    assert_eq!(join_from(&mut bob, &old, false), Err(Code::RollbackRefused));
    assert_eq!(bob.epoch(), 4);
    let newest = group_info(&mut alice);
    assert_eq!(join_from(&mut bob, &newest, false), Ok(5));
    assert_eq!(
        join_from(&mut bob, &newest, false),
        Err(Code::RollbackRefused),
        "it is one behind by now"
    );
    assert_eq!(join_from(&mut bob, &old, true), Ok(2), "he agrees");
    // What he has agreed to is what is known from then on.
    assert_eq!(join_from(&mut bob, &old, false), Err(Code::RollbackRefused));
}

#[test]
fn it_is_known_after_a_wipe_and_after_a_removal() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let (mut alice, founding) = founded(&mut [&mut bob, &mut carol], true);
    for member in [&mut bob, &mut carol] {
        member.join(&founding);
    }
    let old = group_info(&mut alice);
    let removal = alice.commit(Request::remove(vec![b"carol".as_slice().into()]));
    for member in [&mut bob, &mut carol] {
        member.receive(&[&removal.commit]);
        if member.name == "bob" {
            member.step(|session| session.wipe(TEAM)).expect("it is there");
        }
        assert_eq!(
            join_from(member, &old, false),
            Err(Code::RollbackRefused),
            "{}",
            member.name
        );
    }
    let newest = group_info(&mut alice);
    assert_eq!(join_from(&mut bob, &newest, false), Ok(3));
}

#[test]
fn a_header_proves_nothing() {
    let mut bob = client("bob");
    let (mut alice, _) = moved_on(&mut bob);
    // Messages of later epochs wait, and say nothing about the epoch.
    let mut dave = client("dave");
    let info = group_info(&mut alice);
    for _ in 0..2 {
        alice.commit(Request::update());
    }
    let ahead = alice.send("of a later epoch");
    assert!(matches!(dave.receive(&[&ahead])[0], What::Waiting { .. }));
    assert_eq!(join_from(&mut dave, &info, false), Ok(5));
}

#[test]
fn a_last_resort_welcome_that_was_used_brings_nobody_back() {
    let (mut alice, mut bob) = (client("alice"), client("bob"));
    let credential = bob.credential.clone();
    let mut packages = bob
        .step(|session| session.generate_key_packages(&credential, 1, None, true))
        .expect("it can be made");
    let invitee = Invitee {
        key_package: packages.remove(0).bytes,
        client_id: None,
    };
    let credential = alice.credential.clone();
    let founding = alice
        .step(|session| session.stage_create(TEAM, &credential, vec![invitee], false))
        .expect("it can be founded");
    alice.merge(&founding);
    bob.join(&founding);
    let welcome = founding.welcome.expect("it adds bob");
    let again = bob
        .step(|session| session.join_by_welcome(&welcome, false))
        .expect("it may come again after a crash");
    assert!(again.again);

    let removal = alice.commit(Request::remove(vec![b"bob".as_slice().into()]));
    bob.receive(&[&removal.commit]);
    for _ in 0..2 {
        assert_eq!(
            bob.code_of(|session| session.join_by_welcome(&welcome, false)),
            Code::RollbackRefused
        );
        let _ = bob.step(|session| session.wipe(TEAM));
    }
    let joined = bob
        .step(|session| session.join_by_welcome(&welcome, true))
        .expect("he agrees");
    assert_eq!(joined.epoch, 1);
}

#[test]
fn creating_it_anew_is_consent_and_a_founding_that_is_refused_is_none() {
    let (mut alice, mut bob) = (client("alice"), client("bob"));
    let (mut carol, old) = moved_on(&mut bob);
    let _ = &mut carol;
    bob.step(|session| session.wipe(TEAM)).expect("it is there");
    let credential = bob.credential.clone();
    let refused = bob
        .step(|session| session.stage_create(TEAM, &credential, vec![alice.invitee()], false))
        .expect("it can be staged");
    bob.step(|session| session.clear_commit(TEAM, &refused.commit_id))
        .expect("the server refuses it");
    assert_eq!(join_from(&mut bob, &old, false), Err(Code::RollbackRefused));
    bob.step(|session| session.create_conversation(TEAM, &credential, false))
        .expect("it is free");
    bob.step(|session| session.wipe(TEAM)).expect("it is there");
    assert_eq!(join_from(&mut bob, &old, false), Ok(2));
}
