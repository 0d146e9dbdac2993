//! Who may join from outside: a leaf says so, which clients of other makes need not understand.

mod support;

use conclave_core::conversation::commit::{Request, StagedCommit};
use conclave_core::conversation::intent::Invitee;
use conclave_core::conversation::received::What;
use conclave_core::error::Code;
use conclave_core::inspect::inspect_message;
use openmls::group::Propose;
use openmls::prelude::{
    Capabilities, Extension, Extensions, KeyPackage, LeafNode, LeafNodeParameters, MlsMessageOut, ProposalType,
    UnknownExtension,
};
use support::foreign::{Foreigner, capable_of};
use support::{Client, TEAM, client, founded};
use tls_codec::Serialize as _;

/// A client of another make, which has never heard of this package, and its key package.
fn foreigner(name: &str) -> (Foreigner, Invitee) {
    let foreigner = Foreigner::of(name);
    let able = Capabilities::builder()
        .proposals(vec![ProposalType::SelfRemove])
        .build();
    let package = foreigner.odd_key_package(|builder| builder.leaf_node_capabilities(able));
    (foreigner, invitee(&package))
}

fn invitee(package: &KeyPackage) -> Invitee {
    let bytes = MlsMessageOut::from(package.clone()).tls_serialize_detached();
    Invitee {
        key_package: bytes.expect("it can be written"),
        client_id: None,
    }
}

/// What a leaf says of itself to let clients join.
fn declaration() -> Extensions<LeafNode> {
    let extension = Extension::Unknown(0xF1C0, UnknownExtension(vec![1]));
    Extensions::single(extension).expect("a leaf may have it")
}

/// Dave joins by a commit from outside, and the others follow.
fn joins(dave: &mut Client, group_info: &[u8], others: &mut [&mut Client]) -> StagedCommit {
    let credential = dave.credential.clone();
    let staged = dave
        .step(|session| session.stage_external_join(TEAM, &credential, group_info, false))
        .expect("the conversation is open");
    dave.step(|session| session.merge_join(TEAM, &staged.commit_id, false))
        .expect("it can be merged");
    for other in others {
        let told = other.receive(&[&staged.commit]);
        assert!(
            matches!(
                told[..],
                [What::Commit {
                    by: None,
                    active: true,
                    ..
                }]
            ),
            "{told:?}"
        );
    }
    staged
}

fn group_info(client: &mut Client) -> Vec<u8> {
    client.session.group_info(TEAM).expect("it is a member")
}

#[test]
fn a_client_of_another_make_is_a_member_where_clients_join_from_outside() {
    let (mut bob, mut dave, mut erin) = (client("bob"), client("dave"), client("erin"));
    let (mut alice, founding) = founded(&mut [&mut bob], true);
    bob.join(&founding);
    let (mut frank, invitation) = foreigner("frank");
    let adds = alice.commit(Request::add(vec![invitation]));
    bob.receive(&[&adds.commit]);
    frank.join(&adds);

    let joined = joins(&mut dave, &group_info(&mut alice), &mut [&mut alice, &mut bob]);
    frank.receive(&[&joined.commit]);
    assert_eq!(frank.receive(&[&dave.send("hello")]), ["hello"]);
    // By what a client of another make publishes, too.
    let joined = joins(&mut erin, &frank.group_info(), &mut [&mut alice, &mut bob, &mut dave]);
    frank.receive(&[&joined.commit]);
    assert_eq!(frank.authenticator(), erin.authenticator());
}

#[test]
fn a_client_of_another_make_joins_from_outside() {
    let mut bob = client("bob");
    let (mut alice, founding) = founded(&mut [&mut bob], true);
    bob.join(&founding);
    let mut frank = Foreigner::of("frank");
    let commit = frank.join_from_outside(&group_info(&mut alice));
    for member in [&mut alice, &mut bob] {
        let told = member.receive(&[&commit]);
        assert!(matches!(told[..], [What::Commit { active: true, .. }]), "{told:?}");
    }
    assert_eq!(frank.receive(&[&bob.send("hello")]), ["hello"]);
}

#[test]
fn an_open_conversation_stays_open_when_its_founder_goes() {
    let (mut bob, mut carol, mut dave) = (client("bob"), client("carol"), client("dave"));
    let (mut alice, founding) = founded(&mut [&mut bob, &mut carol], true);
    bob.join(&founding);
    carol.join(&founding);
    let farewell = bob.commit(Request::remove(vec![b"alice".as_slice().into()]));
    carol.receive(&[&farewell.commit]);
    alice.receive(&[&farewell.commit]);
    let info = group_info(&mut carol);
    assert_eq!(
        inspect_message(&info).expect("it is a message").external_join,
        Some(true)
    );
    assert!(
        bob.session
            .conversation_state(TEAM)
            .expect("it is a member")
            .external_join
    );
    joins(&mut dave, &info, &mut [&mut bob, &mut carol]);
    // Who comes from outside keeps it open as well.
    for name in ["bob", "carol"] {
        let removes = dave.commit(Request::remove(vec![name.as_bytes().into()]));
        if name == "bob" {
            carol.receive(&[&removes.commit]);
        }
    }
    joins(&mut client("erin"), &group_info(&mut dave), &mut [&mut dave]);
}

/// Alice's closed team with frank, who may say that it is open.
fn closed_team() -> (Client, Foreigner) {
    let (mut alice, _) = founded(&mut [&mut client("bob")], false);
    let mut frank = Foreigner::of("frank");
    let package = frank
        .odd_key_package(|builder| builder.leaf_node_capabilities(capable_of(&[0xF1C0], &[ProposalType::SelfRemove])));
    let adds = alice.commit(Request::add(vec![invitee(&package)]));
    frank.join(&adds);
    (alice, frank)
}

fn opening() -> LeafNodeParameters {
    LeafNodeParameters::builder().with_extensions(declaration()).build()
}

fn opens_the_door(guest: &Foreigner) -> KeyPackage {
    let able = capable_of(&[0xF1C0], &[ProposalType::SelfRemove]);
    guest.odd_key_package(|builder| builder.leaf_node_capabilities(able).leaf_node_extensions(declaration()))
}

#[test]
fn nobody_opens_a_closed_conversation() {
    // By a proposal.
    let (mut alice, mut frank) = closed_team();
    let guest = Foreigner::of("guest");
    let update = frank.propose(Propose::Update(opening()));
    let addition = frank.propose_add(&invitee(&opens_the_door(&guest)));
    for proposal in [&update, &addition] {
        let told = alice.receive(&[proposal]);
        assert!(
            matches!(told[..], [What::Rejected(Code::MessageInvalid, _)]),
            "{told:?}"
        );
    }
    alice.send("it keeps nobody from sending");
    // By a key package that this client is given.
    let invitees = vec![invitee(&opens_the_door(&guest))];
    let refused = alice.code_of(|session| session.stage_commit(TEAM, Request::add(invitees)));
    assert_eq!(refused, Code::KeyPackageInvalid);
    assert!(
        !alice
            .session
            .conversation_state(TEAM)
            .expect("it is a member")
            .external_join
    );
    // By a commit: of a leaf of its own, or of a client that it adds.
    let own = frank.try_commit(|plan| plan.leaf_node_parameters(opening()));
    stalls(&mut alice, &own.expect("OpenMLS lets it"));
    let (mut alice, mut frank) = closed_team();
    let package = opens_the_door(&guest);
    stalls(&mut alice, &frank.commit_adds(&[package]).0);
}

fn stalls(alice: &mut Client, commit: &[u8]) {
    let told = alice.receive(&[commit]);
    assert!(
        matches!(told[..], [What::Rejected(Code::MessageInvalid, _)]),
        "{told:?}"
    );
    let state = alice.session.conversation_state(TEAM).expect("it is a member");
    assert!(state.stalled.is_some() && !state.external_join);
}
