//! What the edits of the engine are for: native/engine/README.md. Frank uses the same engine, and
//! nothing else of ours.

mod support;

use conclave_core::conversation::commit::Request;
use conclave_core::conversation::intent::Invitee;
use conclave_core::conversation::received::What;
use openmls::prelude::{KeyPackage, MlsMessageOut};
use support::foreign::Foreigner;
use support::{Client, client, founded};
use tls_codec::Serialize as _;

/// Alice's team with bob and these; `open` to external joins.
fn team_with(others: &mut [(&mut Foreigner, KeyPackage)], open: bool) -> (Client, Client) {
    let mut bob = client("bob");
    let (mut alice, founding) = founded(&mut [&mut bob], open);
    bob.join(&founding);
    let invitees = others.iter().map(|(_, package)| invitee(package)).collect();
    let staged = alice.commit(Request::add(invitees));
    bob.receive(&[&staged.commit]);
    for (other, _) in others {
        other.join(&staged);
    }
    (alice, bob)
}

fn team_with_frank(open: bool) -> (Client, Client, Foreigner) {
    let mut frank = Foreigner::of("frank");
    let package = frank.key_package();
    let (alice, bob) = team_with(&mut [(&mut frank, package)], open);
    (alice, bob, frank)
}

fn invitee(package: &KeyPackage) -> Invitee {
    Invitee {
        key_package: MlsMessageOut::from(package.clone())
            .tls_serialize_detached()
            .expect("it can be written"),
        client_id: None,
    }
}

/// Everybody merges the commit.
fn merge(members: &mut [&mut Client], commit: &[u8]) {
    for member in members {
        let told = member.receive(&[commit]);
        assert!(matches!(told[..], [What::Commit { active: true, .. }]), "{told:?}");
    }
}

/// All of them are in the same epoch, and each of ours can commit, which all others follow.
fn goes_on(ours: &mut [&mut Client], others: &mut [&mut Foreigner]) {
    for committer in 0..ours.len() {
        let staged = ours[committer].commit(Request::update());
        for (place, member) in ours.iter_mut().enumerate() {
            if place != committer {
                merge(&mut [member], &staged.commit);
            }
        }
        for other in others.iter_mut() {
            other.receive(&[&staged.commit]);
            assert_eq!(other.authenticator(), ours[committer].authenticator());
        }
    }
}

mod received_without_clock {
    use std::time::{SystemTime, UNIX_EPOCH};

    use conclave_core::error::Code;
    use openmls::prelude::Lifetime;

    use super::*;
    use support::TEAM;

    fn lifetimes() -> [(&'static str, Lifetime); 2] {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("it is later")
            .as_secs();
        let day = 24 * 60 * 60;
        [
            ("over", Lifetime::init(now - 3 * day, now - day)),
            ("not begun", Lifetime::init(now + day, now + 3 * day)),
        ]
    }

    #[test]
    fn a_commit_that_adds_a_leaf_out_of_its_time_is_merged_and_followed() {
        for (what, lifetime) in lifetimes() {
            let (mut alice, mut bob, mut frank) = team_with_frank(false);
            let mut greta = Foreigner::of("greta");
            let package = greta.odd_key_package(|builder| builder.key_package_lifetime(lifetime));
            let (commit, welcome) = frank.commit_adds(&[package]);
            merge(&mut [&mut alice, &mut bob], &commit);
            assert_eq!(alice.authenticator(), frank.authenticator(), "{what}");
            greta.join_by(&welcome);
            goes_on(&mut [&mut alice, &mut bob], &mut [&mut frank, &mut greta]);
            let hello = alice.send("hello");
            assert_eq!(greta.receive(&[&hello]), ["hello"], "{what}");
        }
    }

    #[test]
    fn such_a_leaf_that_was_proposed_is_merged_with_the_commit_of_another() {
        for (_, lifetime) in lifetimes() {
            let (mut alice, mut bob, mut frank) = team_with_frank(false);
            let greta = Foreigner::of("greta");
            let package = greta.odd_key_package(|builder| builder.key_package_lifetime(lifetime));
            let proposal = frank.propose_add(&invitee(&package));
            for member in [&mut alice, &mut bob] {
                let told = member.receive(&[&proposal]);
                assert!(matches!(told[..], [What::Proposal { .. }]), "{told:?}");
            }
            let commit = frank.commit();
            merge(&mut [&mut alice, &mut bob], &commit);
            assert_eq!(alice.member_names(), ["alice", "bob", "frank", "greta"]);
            goes_on(&mut [&mut alice, &mut bob], &mut [&mut frank]);
        }
    }

    #[test]
    fn this_client_itself_adds_nobody_out_of_time() {
        for (_, lifetime) in lifetimes() {
            let (mut alice, _, mut frank) = team_with_frank(false);
            let greta = Foreigner::of("greta");
            let package = greta.odd_key_package(|builder| builder.key_package_lifetime(lifetime));
            let add = Request::add(vec![invitee(&package)]);
            assert_eq!(
                alice.code_of(|session| session.stage_commit(TEAM, add)),
                Code::KeyPackageInvalid
            );
            alice.receive(&[&frank.propose_add(&invitee(&package))]);
            let commit = alice.commit(Request::pending());
            assert!(commit.change.added.is_empty());
        }
    }
}

mod grease {
    use openmls::group::Propose;
    use openmls::prelude::{Extension, Extensions, LeafNodeParameters, ProposalType, UnknownExtension};

    use super::*;
    use support::TEAM;
    use support::foreign::capable_of;

    const GREASE: u16 = 0x0A0A;
    const OTHER_GREASE: u16 = 0x1A1A;

    fn extension(kind: u16) -> Extension {
        Extension::Unknown(kind, UnknownExtension(vec![1, 2, 3]))
    }

    /// GREASE in the leaf, and this in the key package around it; the leaf lists what is in it, and `listed`.
    fn greasy(somebody: &Foreigner, in_key_package: u16, listed: &[u16]) -> KeyPackage {
        let listed = [&[GREASE], listed].concat();
        somebody.odd_key_package(|builder| {
            builder
                .leaf_node_capabilities(capable_of(&listed, &[ProposalType::SelfRemove]))
                .leaf_node_extensions(Extensions::single(extension(GREASE)).expect("a leaf may have it"))
                .key_package_extensions(Extensions::single(extension(in_key_package)).expect("it may have it"))
        })
    }

    #[test]
    fn a_client_with_grease_in_its_extensions_is_added_and_commits() {
        for listed in [&[][..], &[OTHER_GREASE]] {
            let mut frank = Foreigner::of("frank");
            let package = greasy(&frank, OTHER_GREASE, listed);
            let (mut alice, mut bob) = team_with(&mut [(&mut frank, package)], false);
            let commit = frank.commit();
            merge(&mut [&mut alice, &mut bob], &commit);
            goes_on(&mut [&mut alice, &mut bob], &mut [&mut frank]);

            let mut greta = Foreigner::of("greta");
            let (commit, welcome) = frank.commit_adds(&[greasy(&greta, OTHER_GREASE, listed)]);
            merge(&mut [&mut alice, &mut bob], &commit);
            greta.join_by(&welcome);
            goes_on(&mut [&mut alice, &mut bob], &mut [&mut frank, &mut greta]);
        }
    }

    #[test]
    fn somebody_of_ours_joins_a_tree_with_grease_and_leaves_with_grease_update() {
        let mut frank = Foreigner::of("frank");
        let package = greasy(&frank, OTHER_GREASE, &[OTHER_GREASE]);
        let (mut alice, mut bob) = team_with(&mut [(&mut frank, package)], true);
        let mut carol = client("carol");
        let adds = alice.commit(Request::add(vec![carol.invitee()]));
        merge(&mut [&mut bob], &adds.commit);
        frank.receive(&[&adds.commit]);
        carol.join(&adds);
        let update = frank.propose(Propose::Update(LeafNodeParameters::default()));
        for member in [&mut alice, &mut bob, &mut carol] {
            let told = member.receive(&[&update]);
            assert!(matches!(told[..], [What::Proposal { .. }]), "{told:?}");
        }
        let commit = carol.commit(Request::pending());
        assert_eq!(commit.change.updated[0].client_id, b"frank");
        merge(&mut [&mut alice, &mut bob], &commit.commit);
        frank.receive(&[&commit.commit]);
        goes_on(&mut [&mut alice, &mut bob, &mut carol], &mut [&mut frank]);
    }

    /// RFC 9420 section 7.3: the extensions of a leaf must be among its capabilities. Section 13.5
    /// makes no exception for GREASE.
    #[test]
    fn a_leaf_that_does_not_list_the_grease_in_it_is_added_by_nobody() {
        let (mut alice, _, mut frank) = team_with_frank(false);
        let greta = Foreigner::of("greta");
        let package = greta.odd_key_package(|builder| {
            builder.leaf_node_extensions(Extensions::single(extension(GREASE)).expect("a leaf may have it"))
        });
        let add = Request::add(vec![invitee(&package)]);
        alice
            .step(|session| session.stage_commit(TEAM, add))
            .expect_err("it is refused");
        let by_frank = frank.try_commit(|plan| plan.propose_adds([package]));
        by_frank.expect_err("it is refused");
    }
}

mod group_context {
    use conclave_core::conversation::context::RequirementsPatch;
    use conclave_core::member::OtherChange;
    use openmls::group::{
        CreateCommitError, GroupContext, GroupContextExtensionsProposalValidationError as Refusal, Propose,
    };
    use openmls::prelude::{
        CredentialType, Extension, ExtensionType, Extensions, LeafNodeIndex, LeafNodeParameters, ProposalType,
        RequiredCapabilitiesExtension, UnknownExtension,
    };

    use super::*;
    use support::foreign::{Plan, capable_of};

    /// Of the private range, and nobody knows it unless told so.
    const PRIVATE: u16 = 0xF0F0;
    const GREASE: u16 = 0x0A0A;
    /// What this package's clients say that they know, though it means nothing in a group context.
    const KNOWN: u16 = 0xF1C0;

    fn unknown(kind: u16) -> Extension {
        Extension::Unknown(kind, UnknownExtension(Vec::new()))
    }

    fn required(extensions: &[u16], proposals: &[ProposalType], credentials: &[CredentialType]) -> Extension {
        let extensions: Vec<ExtensionType> = extensions.iter().copied().map(ExtensionType::from).collect();
        let required = RequiredCapabilitiesExtension::new(&extensions, proposals, credentials);
        Extension::RequiredCapabilities(required)
    }

    fn to<'a>(plan: Plan<'a>, extensions: &[Extension]) -> Plan<'a> {
        let extensions: Extensions<GroupContext> =
            Extensions::from_vec(extensions.to_vec()).expect("they may be there");
        plan.propose_group_context_extensions(extensions)
            .expect("it can be proposed")
    }

    fn refusal_of(frank: &mut Foreigner, plan: impl FnOnce(Plan<'_>) -> Plan<'_>) -> Refusal {
        match frank.try_commit(plan) {
            Err(CreateCommitError::GroupContextExtensionsProposalValidationError(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    /// Alice merges the commit, and is told what becomes of this extension.
    fn tells(alice: &mut Client, commit: &[u8], extension: &(u16, Option<serde_bytes::ByteBuf>)) {
        let told = alice.receive(&[commit]);
        let [What::Commit { change, .. }] = &told[..] else {
            panic!("{told:?}")
        };
        let [OtherChange::Context(patch)] = &change.other[..] else {
            panic!("{change:?}")
        };
        assert_eq!(patch.extensions, std::slice::from_ref(extension));
        assert_eq!(patch.requirements, RequirementsPatch::Kept);
    }

    #[test]
    fn an_extension_that_all_support_need_not_be_required() {
        let mut frank = Foreigner::of("frank");
        let able = capable_of(&[KNOWN], &[ProposalType::SelfRemove]);
        let package = frank.odd_key_package(|builder| builder.leaf_node_capabilities(able));
        let (mut alice, mut bob) = team_with(&mut [(&mut frank, package)], false);
        let commit = frank.try_commit(|plan| to(plan, &[unknown(KNOWN)]));
        let set = (KNOWN, Some(Default::default()));
        tells(&mut alice, &commit.clone().expect("all support it"), &set);
        merge(&mut [&mut bob], &commit.expect("all support it"));
        let commit = frank.try_commit(|plan| to(plan, &[]));
        tells(
            &mut alice,
            &commit.clone().expect("nothing is asked for"),
            &(KNOWN, None),
        );
        merge(&mut [&mut bob], &commit.expect("nothing is asked for"));
        assert_eq!(alice.authenticator(), frank.authenticator());
        goes_on(&mut [&mut alice, &mut bob], &mut [&mut frank]);
        let mut carol = client("carol");
        let adds = bob.commit(Request::add(vec![carol.invitee()]));
        merge(&mut [&mut alice], &adds.commit);
        carol.join(&adds);
        assert_eq!(carol.authenticator(), alice.authenticator());
    }

    #[test]
    fn what_a_member_does_not_support_is_refused_required_or_not() {
        let mut frank = Foreigner::of("frank");
        let able = capable_of(
            &[PRIVATE, GREASE],
            &[ProposalType::SelfRemove, ProposalType::Custom(PRIVATE)],
        );
        let package = frank.odd_key_package(|builder| builder.leaf_node_capabilities(able));
        let (mut alice, mut bob) = team_with(&mut [(&mut frank, package)], false);
        for kind in [PRIVATE, GREASE] {
            let refusal = refusal_of(&mut frank, |plan| to(plan, &[unknown(kind)]));
            assert_eq!(refusal, Refusal::ExtensionNotSupportedByAllMembers);
        }
        for requirement in [
            required(&[PRIVATE], &[], &[]),
            required(&[], &[ProposalType::Custom(PRIVATE)], &[]),
            required(&[], &[], &[CredentialType::X509]),
        ] {
            let refusal = refusal_of(&mut frank, |plan| to(plan, &[requirement]));
            assert_eq!(refusal, Refusal::RequiredExtensionNotSupportedByAllMembers);
        }
        let satisfied = required(&[], &[ProposalType::SelfRemove], &[CredentialType::Basic]);
        let commit = frank.try_commit(|plan| to(plan, &[satisfied]));
        merge(&mut [&mut alice, &mut bob], &commit.expect("all are capable of it"));
        goes_on(&mut [&mut alice, &mut bob], &mut [&mut frank]);
    }

    /// Frank's team with greta, who does not know SelfRemove as long as she says nothing else.
    fn with_greta() -> (Client, Client, Foreigner, Foreigner) {
        let (mut frank, mut greta) = (Foreigner::of("frank"), Foreigner::of("greta"));
        let unable = greta.odd_key_package(|builder| builder.leaf_node_capabilities(capable_of(&[], &[])));
        let able = frank.key_package();
        let (alice, bob) = team_with(&mut [(&mut frank, able), (&mut greta, unable)], false);
        (alice, bob, frank, greta)
    }

    fn self_remove() -> Extension {
        required(&[], &[ProposalType::SelfRemove], &[])
    }

    fn able() -> LeafNodeParameters {
        let capabilities = capable_of(&[], &[ProposalType::SelfRemove]);
        LeafNodeParameters::builder().with_capabilities(capabilities).build()
    }

    #[test]
    fn a_leaf_that_the_same_commit_removes_does_not_count() {
        let (mut alice, mut bob, mut frank, _) = with_greta();
        let refusal = refusal_of(&mut frank, |plan| to(plan, &[self_remove()]));
        assert_eq!(refusal, Refusal::RequiredExtensionNotSupportedByAllMembers);
        let greta = LeafNodeIndex::new(3);
        let commit = frank.try_commit(|plan| to(plan, &[self_remove()]).propose_removals([greta]));
        merge(
            &mut [&mut alice, &mut bob],
            &commit.expect("who stays is capable of it"),
        );
        assert_eq!(alice.member_names(), ["alice", "bob", "frank"]);
        goes_on(&mut [&mut alice, &mut bob], &mut [&mut frank]);
    }

    #[test]
    fn a_leaf_that_the_same_commit_updates_counts_as_the_new_one() {
        let (mut alice, mut bob, mut frank, mut greta) = with_greta();
        let update = greta.propose(Propose::Update(able()));
        frank.receive(&[&update]);
        alice.receive(&[&update]);
        bob.receive(&[&update]);
        let commit = frank
            .try_commit(|plan| to(plan, &[self_remove()]))
            .expect("all will be capable of it");
        merge(&mut [&mut alice, &mut bob], &commit);
        greta.receive(&[&commit]);
        goes_on(&mut [&mut alice, &mut bob], &mut [&mut frank, &mut greta]);
    }

    #[test]
    fn the_committer_counts_with_the_leaf_in_its_path() {
        let (mut alice, mut bob, mut frank, mut greta) = with_greta();
        let commit = greta.try_commit(|plan| to(plan, &[self_remove()]).leaf_node_parameters(able()));
        let commit = commit.expect("all will be capable of it");
        merge(&mut [&mut alice, &mut bob], &commit);
        frank.receive(&[&commit]);
        goes_on(&mut [&mut alice, &mut bob], &mut [&mut frank, &mut greta]);

        let (_, _, _, mut greta) = with_greta();
        let commit = greta.try_commit(|plan| to(plan, &[self_remove()]));
        commit.expect_err("she is not capable of it");
    }

    #[test]
    fn a_leaf_that_the_same_commit_adds_counts() {
        let (mut alice, mut bob, mut frank) = team_with_frank(false);
        let greta = Foreigner::of("greta");
        let unable = greta.odd_key_package(|builder| builder.leaf_node_capabilities(capable_of(&[], &[])));
        let refusal = refusal_of(&mut frank, |plan| to(plan, &[self_remove()]).propose_adds([unable]));
        assert_eq!(refusal, Refusal::RequiredExtensionNotSupportedByAllMembers);
        let able = greta.key_package();
        let commit = frank.try_commit(|plan| to(plan, &[self_remove()]).propose_adds([able]));
        merge(&mut [&mut alice, &mut bob], &commit.expect("all are capable of it"));
        goes_on(&mut [&mut alice, &mut bob], &mut [&mut frank]);
    }
}

mod own_message {
    use openmls::prelude::ProcessedMessageContent;

    use super::*;

    #[test]
    fn tells_its_generation_when_it_comes_back() {
        let (mut alice, _, mut frank) = team_with_frank(false);
        let sent: Vec<Vec<u8>> = ["one", "two", "three"].iter().map(|text| frank.send(text)).collect();
        for (number, message) in sent.iter().enumerate().rev() {
            let ProcessedMessageContent::OwnPrivateMessage { generation } = frank.receive_own(message) else {
                panic!("it is another's")
            };
            assert_eq!(generation as usize, number);
        }
        let messages: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
        assert_eq!(alice.read(&messages), ["one", "two", "three"]);
    }
}
