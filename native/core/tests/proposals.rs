//! Proposals of others: Frank, a member of another make, proposes; this package's clients commit, or refuse.

mod support;

use conclave_core::conversation::commit::{Request, StagedCommit};
use conclave_core::conversation::received::{Ignored, WaitingFor, What};
use conclave_core::credential::Credential;
use conclave_core::error::Code;
use openmls::group::Propose;
use openmls::prelude::{Extension, Extensions, ExternalSender, LeafNodeParameters, Lifetime, UnknownExtension};
use openmls::schedule::PreSharedKeyId;
use support::foreign::Foreigner;
use support::{Client, TEAM, client, team};

/// Alice's team with bob and frank.
fn team_with_frank(bob: &mut Client) -> (Client, Foreigner) {
    let mut alice = team(&mut [bob]);
    let mut frank = Foreigner::of("frank");
    let staged = alice.commit(Request::add(vec![frank.invitee()]));
    bob.receive(&[&staged.commit]);
    frank.join(&staged);
    (alice, frank)
}

fn commit_pending(client: &mut Client) -> StagedCommit {
    client.commit(Request::pending())
}

/// Whether nothing is left for a commit of pending proposals.
fn nothing_to_commit(client: &mut Client) -> bool {
    let staged = client.step(|session| session.stage_commit(TEAM, Request::pending()));
    staged.expect("it is no mistake").is_none()
}

#[test]
fn a_proposed_client_is_added_by_the_commit_of_another_member() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let (mut alice, mut frank) = team_with_frank(&mut bob);
    let proposal = frank.propose_add(&carol.invitee());
    for member in [&mut alice, &mut bob] {
        let told = member.receive(&[&proposal]);
        let What::Proposal {
            by: Some(by), change, ..
        } = &told[0]
        else {
            panic!("{told:?}")
        };
        assert_eq!(by.client_id, b"frank");
        assert_eq!(change.added[0].client_id, b"carol");
        assert_eq!(
            member.code_of(|session| session.encrypt(TEAM, b"x", b"")),
            Code::PendingProposals
        );
    }
    let commit = commit_pending(&mut alice);
    assert_eq!(commit.change.added[0].client_id, b"carol");
    assert_eq!(commit.welcome_to.len(), 1, "the Welcome has an addressee");
    carol.join(&commit);
    bob.receive(&[&commit.commit]);
    frank.receive(&[&commit.commit]);
    let hello = alice.send("hello");
    assert_eq!(carol.read(&[&hello]), ["hello"]);
    assert_eq!(frank.receive(&[&hello]), ["hello"]);
    assert_eq!(bob.authenticator(), frank.authenticator());
}

#[test]
fn removals_updates_and_farewells_that_were_proposed_are_committed_together() {
    let mut bob = client("bob");
    let (mut alice, mut frank) = team_with_frank(&mut bob);
    let mut greta = Foreigner::of("greta");
    let invitation = alice.commit(Request::add(vec![greta.invitee()]));
    greta.join(&invitation);
    bob.receive(&[&invitation.commit]);
    frank.receive(&[&invitation.commit]);
    let update = frank.propose(Propose::Update(LeafNodeParameters::default()));
    let farewell = greta.propose_to_leave();
    let removal = frank.propose(Propose::Remove(1));
    alice.receive(&[&update, &farewell, &removal]);
    frank.receive(&[&farewell]);
    let commit = commit_pending(&mut alice);
    let mut removed: Vec<_> = commit.change.removed.iter().map(|member| &member.client_id).collect();
    removed.sort();
    assert_eq!(removed, [b"bob".as_slice(), b"greta"]);
    assert_eq!(commit.change.updated[0].client_id, b"frank");
    frank.receive(&[&commit.commit]);
    assert_eq!(alice.authenticator(), frank.authenticator());
    let told = bob.receive(&[&update, &farewell, &removal, &commit.commit]);
    assert!(matches!(told[3], What::Commit { active: false, .. }), "{told:?}");
}

#[test]
fn a_commit_waits_for_the_proposal_that_it_refers_to() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let (mut alice, mut frank) = team_with_frank(&mut bob);
    let proposal = frank.propose_add(&carol.invitee());
    alice.receive(&[&proposal]);
    let commit = commit_pending(&mut alice);
    let told = bob.receive(&[&commit.commit]);
    assert!(
        matches!(
            told[0],
            What::Waiting {
                on: WaitingFor::Proposal,
                ..
            }
        ),
        "{told:?}"
    );
    let told = bob.receive(&[&proposal]);
    assert!(
        matches!(told[..], [What::Proposal { .. }, What::Commit { .. }]),
        "{told:?}"
    );
    assert_eq!(alice.authenticator(), bob.authenticator());
    let told = bob.receive(&[&proposal, &commit.commit]);
    assert!(
        told.iter()
            .all(|what| matches!(what, What::Ignored(Ignored::Duplicate))),
        "{told:?}"
    );
}

#[test]
fn what_another_member_has_committed_is_done_and_what_it_has_not_is_void() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let (mut alice, mut frank) = team_with_frank(&mut bob);
    let proposal = frank.propose_add(&carol.invitee());
    alice.receive(&[&proposal]);
    bob.receive(&[&proposal]);
    let lost = alice.stage(Request::pending());
    let winner = commit_pending(&mut bob);
    alice.receive(&[&winner.commit]);
    assert!(alice.stage_again(&lost.intent).is_none());
    frank.receive(&[&winner.commit]);

    let update = frank.propose(Propose::Update(LeafNodeParameters::default()));
    alice.receive(&[&update]);
    let without = bob.commit(Request::update());
    alice.receive(&[&without.commit]);
    assert!(nothing_to_commit(&mut alice), "a proposal ends with its epoch");
    let hello = alice.send("hello");
    assert_eq!(bob.read(&[&hello]), ["hello"]);
}

#[test]
fn a_commit_that_is_refused_leaves_the_proposals_pending() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let (mut alice, mut frank) = team_with_frank(&mut bob);
    let proposal = frank.propose_add(&carol.invitee());
    alice.receive(&[&proposal]);
    let refused = alice.stage(Request::pending());
    alice
        .step(|session| session.clear_commit(TEAM, &refused.commit_id))
        .expect("it can be cleared");
    assert_eq!(
        alice.code_of(|session| session.encrypt(TEAM, b"x", b"")),
        Code::PendingProposals
    );
    let commit = commit_pending(&mut alice);
    carol.join(&commit);
    assert_eq!(alice.authenticator(), carol.authenticator());
}

#[test]
fn every_commit_takes_the_pending_proposals_along() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let (mut alice, mut frank) = team_with_frank(&mut bob);
    let proposal = frank.propose_add(&carol.invitee());
    alice.receive(&[&proposal]);
    bob.receive(&[&proposal]);
    let other = alice
        .step(|session| session.add_credential(1, Credential::Basic(b"alice".to_vec())))
        .expect("the suite is supported");
    let commit = alice.commit(Request::credential(other.reference.to_vec()));
    assert_eq!(commit.change.added[0].client_id, b"carol");
    assert_eq!(
        commit.change.updated[0].client_id, b"alice",
        "her signature key is another one"
    );
    carol.join(&commit);
    let told = bob.receive(&[&commit.commit]);
    let What::Commit { change, .. } = &told[0] else {
        panic!("{told:?}")
    };
    assert_eq!(*change, commit.change);
    frank.receive(&[&commit.commit]);
    assert_eq!(frank.authenticator(), carol.authenticator());
}

#[test]
fn nobody_commits_its_own_removal() {
    let mut bob = client("bob");
    let (mut alice, mut frank) = team_with_frank(&mut bob);
    let removal = frank.propose(Propose::Remove(0));
    alice.receive(&[&removal]);
    bob.receive(&[&removal]);
    assert!(nothing_to_commit(&mut alice));
    let commit = commit_pending(&mut bob);
    let told = alice.receive(&[&commit.commit]);
    assert!(matches!(told[0], What::Commit { active: false, .. }), "{told:?}");
}

#[test]
fn what_is_proposed_and_asked_for_at_once_is_done_once() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let (mut alice, mut frank) = team_with_frank(&mut bob);
    let invitee = carol.invitee();
    let proposals = [frank.propose_add(&invitee), frank.propose(Propose::Remove(1))];
    alice.receive(&[&proposals[0], &proposals[1]]);
    let added = alice.commit(Request::add(vec![invitee]));
    assert_eq!(added.change.added.len(), 1);
    assert_eq!(added.change.removed[0].client_id, b"bob");
    carol.join(&added);
    assert_eq!(alice.member_names(), ["alice", "carol", "frank"]);
    assert_eq!(alice.authenticator(), carol.authenticator());
}

#[test]
fn nonsense_that_is_proposed_never_keeps_others_from_committing() {
    let (mut bob, mut carol, mut dave) = (client("bob"), client("carol"), client("dave"));
    let (mut alice, mut frank) = team_with_frank(&mut bob);
    let mut namesake = client("carol");
    let psk = PreSharedKeyId::external(b"a key that nobody has".to_vec(), vec![7; 32]);
    let nonsense = [
        frank.propose_add(&carol.invitee()), // This one makes sense.
        frank.propose(Propose::PreSharedKey(psk)),
        frank.propose_add(&alice.invitee()),
        frank.propose_add(&carol.invitee()),
        frank.propose_add(&namesake.invitee()),
        frank.propose(Propose::Remove(1)),
        frank.propose(Propose::Remove(1)),
        frank.propose_to_be("alice"),
        frank.propose(Propose::Update(LeafNodeParameters::default())),
        frank.propose(Propose::Remove(2)),
    ];
    for proposal in &nonsense {
        alice.receive(&[proposal]);
        let staged = alice.stage(Request::pending());
        alice
            .step(|session| session.clear_commit(TEAM, &staged.commit_id))
            .expect("it can be cleared");
    }
    let commit = alice.commit(Request::add(vec![dave.invitee()]));
    assert_eq!(alice.member_names(), ["alice", "carol", "dave"]);
    dave.join(&commit);
    assert_eq!(alice.authenticator(), dave.authenticator());
}

#[test]
fn proposals_of_which_no_commit_can_be_built_are_left_out() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let (mut alice, mut frank) = team_with_frank(&mut bob);
    // OpenMLS proposes and receives such an extension, and then builds no commit of it.
    let unknown = Extension::Unknown(0xF0F0, UnknownExtension(vec![1]));
    let extensions = Extensions::single(unknown).expect("it belongs there");
    let proposals = [
        frank.propose(Propose::GroupContextExtensions(extensions)),
        frank.propose_add(&carol.invitee()),
    ];
    alice.receive(&[&proposals[0], &proposals[1]]);
    let commit = commit_pending(&mut alice);
    assert_eq!(commit.change.added[0].client_id, b"carol");
    carol.join(&commit);
    assert_eq!(alice.authenticator(), carol.authenticator());
}

#[test]
fn when_no_proposal_makes_sense_a_commit_ends_them_all() {
    let mut bob = client("bob");
    let (mut alice, mut frank) = team_with_frank(&mut bob);
    let over = Lifetime::init(0, 1);
    let guest = Foreigner::of("guest").odd_key_package(|builder| builder.key_package_lifetime(over));
    let proposal = frank.propose(Propose::Add(guest));
    alice.receive(&[&proposal]);
    bob.receive(&[&proposal]);
    let commit = commit_pending(&mut alice);
    assert!(commit.change.added.is_empty());
    bob.receive(&[&commit.commit]);
    frank.receive(&[&commit.commit]);
    let hello = bob.send("hello");
    assert_eq!(alice.read(&[&hello]), ["hello"]);
    assert_eq!(frank.receive(&[&hello]), ["hello"]);
}

#[test]
fn what_cannot_be_committed_takes_nothing_else_along() {
    let mut bob = client("bob");
    let (mut alice, mut frank) = team_with_frank(&mut bob);
    let unknown = Extension::Unknown(0xF0F0, UnknownExtension(vec![1]));
    let bad = Extensions::single(unknown).expect("it belongs there");
    let mut proposals: Vec<_> = (0..60)
        .map(|number| frank.propose_add(&Foreigner::of(&format!("guest {number}")).invitee()))
        .collect();
    proposals.insert(40, frank.propose(Propose::GroupContextExtensions(bad)));
    let messages: Vec<&[u8]> = proposals.iter().map(Vec::as_slice).collect();
    alice.receive(&messages);
    assert_eq!(commit_pending(&mut alice).change.added.len(), 60);
}

#[test]
fn nobody_lets_others_propose_from_outside() {
    let mut bob = client("bob");
    let (mut alice, mut frank) = team_with_frank(&mut bob);
    let sender = ExternalSender::new(
        frank.credential.signature_key.clone(),
        frank.credential.credential.clone(),
    );
    let senders = Extensions::single(Extension::ExternalSenders(vec![sender])).expect("it belongs there");
    let proposal = frank.propose(Propose::GroupContextExtensions(senders));
    let told = alice.receive(&[&proposal]);
    assert!(matches!(told[0], What::Rejected(Code::MessageInvalid, _)), "{told:?}");
    let update = alice.commit(Request::update());
    assert_eq!(bob.read(&[&update.commit, &alice.send("hello")]), ["hello"]);
}

#[test]
fn whom_nobody_else_could_remove_commits_without_that() {
    let mut bob = client("bob");
    let (mut alice, mut frank) = team_with_frank(&mut bob);
    let proposals = [frank.propose(Propose::Remove(0)), frank.propose(Propose::Remove(1))];
    for member in [&mut alice, &mut bob] {
        member.receive(&[&proposals[0], &proposals[1]]);
    }
    let commit = commit_pending(&mut alice);
    let removed: Vec<_> = commit.change.removed.iter().map(|member| &member.client_id).collect();
    assert_eq!(removed, [b"bob".as_slice()]);
    let hello = alice.send("hello");
    assert_eq!(frank.receive(&[&commit.commit, &hello]), ["hello"]);
}
