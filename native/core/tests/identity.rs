//! Who somebody is: names prove nothing, signature keys are compared, at every door.

mod support;

use conclave_core::conversation::commit::Request;
use conclave_core::conversation::intent::LeafName;
use conclave_core::conversation::received::What;
use conclave_core::conversation::stalled::StallCause;
use conclave_core::error::Code;
use conclave_core::member::Member;
use support::foreign::Foreigner;
use support::{Client, TEAM, client, founded};

/// Alice's team with bob and mallory, who has plain OpenMLS.
fn with_mallory() -> (Client, Client, Foreigner) {
    let (mut alice, mut bob) = (client("alice"), client("bob"));
    let mut mallory = Foreigner::of("mallory");
    let credential = alice.credential.clone();
    let invitees = vec![bob.invitee(), mallory.invitee()];
    let founding = alice
        .step(|session| session.stage_create(TEAM, &credential, invitees, false))
        .expect("it can be founded");
    alice.merge(&founding);
    bob.join(&founding);
    mallory.join(&founding);
    (alice, bob, mallory)
}

fn leaf(member: &Member) -> LeafName {
    LeafName {
        client_id: member.client_id.clone(),
        signature_key: Some(member.signature_key.clone()),
    }
}

/// The commit was rejected as a member's, and the conversation says that it may be behind.
fn stalls(client: &mut Client, told: &What) {
    assert!(matches!(told, What::Rejected(Code::MessageInvalid, _)), "{told:?}");
    let state = client.session.conversation_state(TEAM).expect("it is there");
    let stalled = state.stalled.expect("it is stalled").stalled;
    assert_eq!((stalled.why, stalled.epoch), (StallCause::Refused, state.epoch));
    let send = client.code_of(|session| session.encrypt(TEAM, b"x", b""));
    let commit = client.code_of(|session| session.stage_commit(TEAM, Request::update()));
    assert_eq!([send, commit], [Code::ConversationStalled; 2]);
}

#[test]
fn a_second_bob_is_refused_as_a_proposal_and_stalls_as_a_commit() {
    let (mut alice, mut bob, mut mallory) = with_mallory();
    let proposal = mallory.propose_add(&Foreigner::of("bob").invitee());
    for member in [&mut alice, &mut bob] {
        let told = member.receive(&[&proposal]);
        assert!(matches!(told[0], What::Rejected(Code::MessageInvalid, _)), "{told:?}");
        member.send("it keeps nobody from sending");
    }
    let commit = mallory.commit();
    for member in [&mut alice, &mut bob] {
        let told = member.receive(&[&commit]);
        stalls(member, &told[0]);
        assert_eq!(member.member_names(), ["alice", "bob", "mallory"]);
    }
}

#[test]
fn a_second_bob_by_value_stalls_as_well() {
    let (mut alice, mut bob, mut mallory) = with_mallory();
    let commit = mallory.commit_add(&[Foreigner::of("bob").invitee()]);
    for member in [&mut alice, &mut bob] {
        let told = member.receive(&[&commit]);
        stalls(member, &told[0]);
    }
}

#[test]
fn a_new_bob_in_the_place_of_the_old_is_one_commit_whatever_came_first() {
    let (mut alice, _, mut mallory) = with_mallory();
    let addition = mallory.propose_add(&Foreigner::of("bob").invitee());
    let removal = mallory.propose_remove("bob");
    let told = alice.receive(&[&addition, &removal]);
    assert!(
        matches!(told[..], [What::Rejected(..), What::Proposal { .. }]),
        "{told:?}"
    );
    let told = alice.receive(&[&mallory.commit()]);
    let What::Commit { change, .. } = &told[0] else {
        panic!("{told:?}")
    };
    assert_eq!(
        (change.added[0].client_id.as_slice(), change.removed.len()),
        (b"bob".as_slice(), 1)
    );
    assert_ne!(change.added[0].signature_key, change.removed[0].signature_key);
}

#[test]
fn a_tree_with_two_leaves_of_one_name_is_shown_as_it_is_and_ones_own_double_can_be_removed() {
    let mut carol = client("carol");
    let mut mallory = Foreigner::of("mallory");
    let double = Foreigner::of("carol");
    let welcome = mallory.found(&[double.invitee(), carol.invitee()]);
    let joined = carol
        .step(|session| session.join_by_welcome(&welcome, false))
        .expect("the Welcome is good");
    assert_eq!(joined.inviter.client_id, b"mallory");
    let carols: Vec<Member> = joined
        .members
        .into_iter()
        .filter(|member| member.client_id == b"carol")
        .collect();
    assert_eq!(carols.len(), 2);
    assert_ne!(carols[0].signature_key, carols[1].signature_key);

    let by_name = LeafName::from(b"carol".as_slice());
    let refused = carol.code_of(|session| session.stage_commit(TEAM, Request::remove(vec![by_name])));
    assert_eq!(refused, Code::InvalidArgument);
    let other = carols
        .iter()
        .find(|member| member.signature_key == double.credential.signature_key.as_slice())
        .expect("the double is there");
    let removal = carol.commit(Request::remove(vec![leaf(other)]));
    assert_eq!(&removal.change.removed[..], std::slice::from_ref(other));
    assert_eq!(carol.member_names(), ["mallory", "carol"]);
    mallory.receive(&[&removal.commit]);
    assert_eq!(mallory.authenticator(), carol.authenticator());
}

#[test]
fn a_leaf_is_removed_by_its_key_and_not_by_that_of_another() {
    let (mut alice, _, _) = with_mallory();
    let members = alice.session.members(TEAM).expect("she is a member");
    let wrong = LeafName {
        client_id: b"bob".to_vec(),
        signature_key: Some(members[2].signature_key.clone()),
    };
    let refused = alice.code_of(|session| session.stage_commit(TEAM, Request::remove(vec![wrong])));
    assert_eq!(refused, Code::NotAMember);
    let bob = &members[1];
    let twice = vec![leaf(bob), LeafName::from(b"bob".as_slice())];
    let refused = alice.code_of(|session| session.stage_commit(TEAM, Request::remove(twice)));
    assert_eq!(refused, Code::InvalidArgument);
    let removal = alice.commit(Request::remove(vec![leaf(bob)]));
    assert_eq!(&removal.change.removed[..], std::slice::from_ref(bob));
}

/// Alice's open team with bob, and mallory, who has joined from outside.
fn open_to_mallory(bob: &mut Client) -> (Client, Foreigner) {
    let (mut alice, founding) = founded(&mut [bob], true);
    bob.join(&founding);
    let mut mallory = Foreigner::of("mallory");
    let info = alice.session.group_info(TEAM).expect("she is a member");
    let commit = mallory.join_from_outside(&info);
    for member in [&mut alice, bob] {
        let told = member.receive(&[&commit]);
        assert!(matches!(told[0], What::Commit { .. }), "{told:?}");
    }
    (alice, mallory)
}

#[test]
fn who_comes_back_from_outside_keeps_its_name() {
    let mut bob = client("bob");
    let (mut alice, mut mallory) = open_to_mallory(&mut bob);
    let info = alice.session.group_info(TEAM).expect("she is a member");
    for name in ["bob", "mallory the second"] {
        let commit = mallory.renamed(name).join_from_outside(&info);
        let told = alice.receive(&[&commit]);
        assert!(
            matches!(told[0], What::Rejected(Code::ExternalJoinRefused, _)),
            "{name}: {told:?}"
        );
    }
    alice.send("a stranger's commit stalls nothing");
    let commit = mallory.join_from_outside(&info);
    let told = alice.receive(&[&commit]);
    let What::Commit { change, .. } = &told[0] else {
        panic!("{told:?}")
    };
    assert_eq!(change.removed[0].signature_key, change.added[0].signature_key);
}

#[test]
fn nobody_joins_from_outside_under_the_name_of_a_member() {
    let mut bob = client("bob");
    let (mut alice, _) = open_to_mallory(&mut bob);
    let info = alice.session.group_info(TEAM).expect("she is a member");
    let commit = Foreigner::of("bob").join_from_outside(&info);
    let told = alice.receive(&[&commit]);
    assert!(
        matches!(told[0], What::Rejected(Code::ExternalJoinRefused, _)),
        "{told:?}"
    );
}

#[test]
fn a_farewell_of_another_member_goes_with_a_join_from_outside() {
    let mut bob = client("bob");
    let (mut alice, mut mallory) = open_to_mallory(&mut bob);
    let farewell = mallory.propose_to_leave();
    alice.receive(&[&farewell]);
    let info = alice.session.group_info(TEAM).expect("she is a member");
    let commit = Foreigner::of("dave").join_from_outside_with(&info, &[&farewell]);
    let told = alice.receive(&[&commit]);
    let What::Commit { change, .. } = &told[0] else {
        panic!("{told:?}")
    };
    assert_eq!(change.removed[0].client_id, b"mallory");
    assert_eq!(alice.member_names(), ["alice", "bob", "dave"]);
}
