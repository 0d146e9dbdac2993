//! A member of another make: OpenMLS without anything of ours, with public handshakes. It proposes what this client never
//! would, and keeps no rules but those of OpenMLS.
#![allow(dead_code, unreachable_pub, reason = "every test file uses a part of it")]

use conclave_core::conversation::commit::StagedCommit;
use conclave_core::conversation::intent::Invitee;
use openmls::prelude::*;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use tls_codec::{DeserializeBytes, Serialize as _};

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Somebody who uses OpenMLS by itself.
pub struct Foreigner {
    provider: OpenMlsRustCrypto,
    signer: Key,
    pub credential: CredentialWithKey,
    group: Option<MlsGroup>,
}

/// A commit that is being planned.
pub type Plan<'a> = CommitBuilder<'a, Initial>;

/// What a leaf says it can do.
pub fn capable_of(extensions: &[u16], proposals: &[ProposalType]) -> Capabilities {
    Capabilities::builder()
        .extensions(extensions.iter().copied().map(ExtensionType::from).collect())
        .proposals(proposals.to_vec())
        .build()
}

/// A signature key.
struct Key(Vec<u8>);

impl Foreigner {
    pub fn of(name: &str) -> Foreigner {
        let provider = OpenMlsRustCrypto::default();
        let (private_key, public_key) = provider
            .crypto()
            .signature_key_gen(SUITE.signature_algorithm())
            .expect("there is randomness");
        Foreigner {
            provider,
            signer: Key(private_key),
            credential: CredentialWithKey {
                credential: BasicCredential::new(name.into()).into(),
                signature_key: public_key.into(),
            },
            group: None,
        }
    }

    pub fn invitee(&self) -> Invitee {
        Invitee {
            key_package: bytes_of(&MlsMessageOut::from(self.key_package())),
            client_id: None,
        }
    }

    /// A key package that says it can do what this package's clients can.
    pub fn key_package(&self) -> KeyPackage {
        self.odd_key_package(|builder| builder)
    }

    /// One with this lifetime, as it is published.
    pub fn key_package_for(&self, lifetime: Lifetime) -> Vec<u8> {
        let package = self.odd_key_package(|builder| builder.key_package_lifetime(lifetime));
        bytes_of(&MlsMessageOut::from(package))
    }

    /// The same with what is odd about it.
    pub fn odd_key_package(&self, odd: impl FnOnce(KeyPackageBuilder) -> KeyPackageBuilder) -> KeyPackage {
        let usual = capable_of(&[], &[ProposalType::SelfRemove]);
        odd(KeyPackage::builder().leaf_node_capabilities(usual))
            .build(SUITE, &self.provider, &self.signer, self.credential.clone())
            .expect("it can be made")
            .key_package()
            .clone()
    }

    pub fn join(&mut self, staged: &StagedCommit) {
        self.join_by(staged.welcome.as_ref().expect("the commit adds somebody"));
    }

    /// Joins without a look at the lifetimes in the tree.
    pub fn join_by(&mut self, welcome: &[u8]) {
        let MlsMessageBodyIn::Welcome(welcome) = message(welcome).extract() else {
            panic!("it is no Welcome")
        };
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .build();
        let group = StagedWelcome::build_from_welcome(&self.provider, &config, welcome)
            .and_then(|builder| builder.skip_lifetime_validation().build())
            .and_then(|staged| staged.into_group(&self.provider))
            .expect("the Welcome is good");
        self.group = Some(group);
    }

    /// What anybody proposes, by reference.
    pub fn propose(&mut self, proposal: Propose) -> Vec<u8> {
        let group = self.group.as_mut().expect("it is a member");
        let proposed = group.propose(&self.provider, &self.signer, proposal, ProposalOrRefType::Reference);
        bytes_of(&proposed.expect("OpenMLS lets it").0)
    }

    pub fn propose_add(&mut self, invitee: &Invitee) -> Vec<u8> {
        let package = self.validated(std::slice::from_ref(invitee)).remove(0);
        self.propose(Propose::Add(package))
    }

    /// The removal of the member with this name.
    pub fn propose_remove(&mut self, name: &str) -> Vec<u8> {
        let group = self.group.as_ref().expect("it is a member");
        let leaf = group
            .members()
            .find(|member| member.credential.serialized_content() == name.as_bytes())
            .expect("there is somebody of this name")
            .index
            .u32();
        self.propose(Propose::Remove(leaf))
    }

    /// Its own leaf under another name.
    pub fn propose_to_be(&mut self, name: &str) -> Vec<u8> {
        let credential = CredentialWithKey {
            credential: BasicCredential::new(name.into()).into(),
            signature_key: self.credential.signature_key.clone(),
        };
        let parameters = LeafNodeParameters::builder().with_credential_with_key(credential);
        self.propose(Propose::Update(parameters.build()))
    }

    pub fn propose_to_leave(&mut self) -> Vec<u8> {
        let group = self.group.as_mut().expect("it is a member");
        let proposed = group.leave_group_via_self_remove(&self.provider, &self.signer);
        bytes_of(&proposed.expect("OpenMLS lets it"))
    }

    /// Commits what it knows of proposals, and new keys of its own.
    pub fn commit(&mut self) -> Vec<u8> {
        let group = self.group.as_mut().expect("it is a member");
        let bundle = group.self_update(&self.provider, &self.signer, LeafNodeParameters::default());
        let commit = bytes_of(bundle.expect("OpenMLS lets it").commit());
        group.merge_pending_commit(&self.provider).expect("it is staged");
        commit
    }

    /// A commit of a proposal that it never sends. It stays in its epoch, and makes another one
    /// each time.
    pub fn commit_of_unseen(&mut self) -> Vec<u8> {
        let group = self.group.as_ref().expect("it is a member");
        let own = group.own_leaf_index();
        let other = group.members().map(|member| member.index).find(|index| *index != own);
        self.propose(Propose::Remove(other.expect("somebody is there").u32()));
        let group = self.group.as_mut().expect("it is a member");
        let (commit, ..) = group
            .commit_to_pending_proposals(&self.provider, &self.signer)
            .expect("OpenMLS lets it");
        group
            .clear_pending_commit(self.provider.storage())
            .expect("memory takes it");
        group
            .clear_pending_proposals(self.provider.storage())
            .expect("memory takes it");
        bytes_of(&commit)
    }

    /// Commits what adds the clients of these key packages; the commit and the Welcome.
    pub fn commit_adds(&mut self, packages: &[KeyPackage]) -> (Vec<u8>, Vec<u8>) {
        let group = self.group.as_mut().expect("it is a member");
        let added = group.add_members(&self.provider, &self.signer, packages);
        let (commit, welcome, _) = added.expect("OpenMLS lets it");
        group.merge_pending_commit(&self.provider).expect("it is staged");
        (bytes_of(&commit), bytes_of(&welcome))
    }

    /// Commits the proposals it knows, and what `plan` adds to them. Where OpenMLS refuses that,
    /// nothing changes.
    pub fn try_commit(&mut self, plan: impl FnOnce(Plan<'_>) -> Plan<'_>) -> Result<Vec<u8>, CreateCommitError> {
        let group = self.group.as_mut().expect("it is a member");
        let commit = plan(group.commit_builder())
            .load_psks(self.provider.storage())
            .expect("there are none")
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)?
            .stage_commit(&self.provider)
            .expect("memory takes it");
        let commit = bytes_of(commit.commit());
        group.merge_pending_commit(&self.provider).expect("it is staged");
        Ok(commit)
    }

    /// The GroupInfo of the epoch that it is in.
    pub fn group_info(&self) -> Vec<u8> {
        let group = self.group.as_ref().expect("it is a member");
        let info = group.export_group_info(self.provider.crypto(), &self.signer, true);
        bytes_of(&info.expect("it can be made"))
    }

    /// A text.
    pub fn send(&mut self, text: &str) -> Vec<u8> {
        let group = self.group.as_mut().expect("it is a member");
        let message = group.create_message(&self.provider, &self.signer, text.as_bytes());
        bytes_of(&message.expect("it can be sent"))
    }

    /// What is told of a message of its own that comes back.
    pub fn receive_own(&mut self, message: &[u8]) -> ProcessedMessageContent {
        let group = self.group.as_mut().expect("it is a member");
        let message = self::message(message)
            .try_into_protocol_message()
            .expect("it is for members");
        let processed = group.process_message(&self.provider, message);
        processed.expect("it is told").into_content()
    }

    /// Commits additions by value; stays where it is.
    pub fn commit_add(&mut self, invitees: &[Invitee]) -> Vec<u8> {
        let packages = self.validated(invitees);
        let group = self.group.as_mut().expect("it is a member");
        let bundle = group.add_members(&self.provider, &self.signer, &packages);
        let commit = bytes_of(&bundle.expect("OpenMLS lets it").0);
        group
            .clear_pending_commit(self.provider.storage())
            .expect("memory takes it");
        commit
    }

    /// Founds the team with these, and answers the Welcome.
    pub fn found(&mut self, invitees: &[Invitee]) -> Vec<u8> {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .capabilities(capabilities())
            .wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .build();
        let group_id = GroupId::from_slice(super::TEAM);
        let group =
            MlsGroup::new_with_group_id(&self.provider, &self.signer, &config, group_id, self.credential.clone());
        self.group = Some(group.expect("it can be founded"));
        let packages = self.validated(invitees);
        let group = self.group.as_mut().expect("it is a member");
        let (_, welcome, _) = group
            .add_members(&self.provider, &self.signer, &packages)
            .expect("OpenMLS lets it");
        group.merge_pending_commit(&self.provider).expect("it is staged");
        bytes_of(&welcome)
    }

    /// Joins from outside, in the place of the leaf that has its signature key, if one has.
    pub fn join_from_outside(&mut self, group_info: &[u8]) -> Vec<u8> {
        self.join_from_outside_with(group_info, &[])
    }

    /// The same, with the farewells of others.
    pub fn join_from_outside_with(&mut self, group_info: &[u8], farewells: &[&[u8]]) -> Vec<u8> {
        let MlsMessageBodyIn::GroupInfo(info) = message(group_info).extract() else {
            panic!("it is no GroupInfo")
        };
        let farewells = farewells.iter().map(|farewell| match message(farewell).extract() {
            MlsMessageBodyIn::PublicMessage(message) => message,
            _ => panic!("it is no public message"),
        });
        if let Some(mut former) = self.group.take() {
            former.delete(self.provider.storage()).expect("memory takes it");
        }
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .build();
        let leaf = LeafNodeParameters::builder().with_capabilities(capabilities()).build();
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_config(config)
            .with_proposals(farewells.collect())
            .build_group(&self.provider, info, self.credential.clone())
            .expect("the GroupInfo is good")
            .leaf_node_parameters(leaf)
            .load_psks(self.provider.storage())
            .expect("there are none")
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .expect("OpenMLS builds it")
            .finalize(&self.provider)
            .expect("memory takes it");
        self.group = Some(group);
        bytes_of(bundle.commit())
    }

    /// Somebody of another name with the same signature key.
    pub fn renamed(&self, name: &str) -> Foreigner {
        Foreigner {
            provider: OpenMlsRustCrypto::default(),
            signer: Key(self.signer.0.clone()),
            credential: CredentialWithKey {
                credential: BasicCredential::new(name.into()).into(),
                signature_key: self.credential.signature_key.clone(),
            },
            group: None,
        }
    }

    /// Decrypts a message and merges nothing; what OpenMLS says where it cannot.
    pub fn looks_at(&mut self, bytes: &[u8]) -> std::result::Result<(), String> {
        let group = self.group.as_mut().expect("it is a member");
        let message = message(bytes).try_into_protocol_message().expect("it is for members");
        let processed = group.process_message(&self.provider, message);
        processed.map(|_| ()).map_err(|cause| format!("{cause:?}"))
    }

    fn validated(&self, invitees: &[Invitee]) -> Vec<KeyPackage> {
        let packages = invitees
            .iter()
            .map(|invitee| match message(&invitee.key_package).extract() {
                MlsMessageBodyIn::KeyPackage(package) => package
                    .validate(self.provider.crypto(), ProtocolVersion::Mls10)
                    .expect("it is valid"),
                _ => panic!("it is no key package"),
            });
        packages.collect()
    }

    /// Receives handshakes, which take effect, and answers the texts.
    pub fn receive(&mut self, messages: &[&[u8]]) -> Vec<String> {
        let group = self.group.as_mut().expect("it is a member");
        let mut texts = Vec::new();
        for bytes in messages {
            let message = message(bytes).try_into_protocol_message().expect("it is for members");
            let processed = group.process_message(&self.provider, message).expect("it is valid");
            match processed.into_content() {
                ProcessedMessageContent::ApplicationMessage(message) => {
                    texts.push(String::from_utf8_lossy(&message.into_bytes()).into_owned());
                }
                ProcessedMessageContent::ProposalMessage(proposal) => group
                    .store_pending_proposal(self.provider.storage(), *proposal)
                    .expect("memory takes it"),
                ProcessedMessageContent::StagedCommitMessage(commit) => group
                    .merge_staged_commit(&self.provider, *commit)
                    .expect("it can be merged"),
                other => panic!("{other:?}"),
            }
        }
        texts
    }

    pub fn authenticator(&self) -> Vec<u8> {
        let group = self.group.as_ref().expect("it is a member");
        group.epoch_authenticator().as_slice().to_vec()
    }
}

impl Signer for Key {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        let provider = OpenMlsRustCrypto::default();
        provider
            .crypto()
            .sign(self.signature_scheme(), payload, &self.0)
            .map_err(SignerError::CryptoError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SUITE.signature_algorithm()
    }
}

/// What this package's clients can do.
fn capabilities() -> Capabilities {
    let last_resort = u16::from(ExtensionType::LastResort);
    capable_of(&[last_resort], &[ProposalType::SelfRemove])
}

fn bytes_of(message: &MlsMessageOut) -> Vec<u8> {
    message.tls_serialize_detached().expect("it can be written")
}

fn message(bytes: &[u8]) -> MlsMessageIn {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).expect("it is an MLSMessage")
}
