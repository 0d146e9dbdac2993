//! A member of another make, who follows no rules: OpenMLS with its hooks (`engine/hook.rs`).

use std::collections::HashMap;

use openmls::prelude::*;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use tls_codec::{DeserializeBytes, Serialize as _};

use crate::clients::TEAM;

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

pub struct Mallory {
    provider: OpenMlsRustCrypto,
    signer: Key,
    credential: CredentialWithKey,
    /// What it had stored at the moment that it goes back to.
    snapshot: HashMap<Vec<u8>, Vec<u8>>,
}

/// A signature key.
struct Key(Vec<u8>);

impl Signer for Key {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        let provider = OpenMlsRustCrypto::default();
        let signature = provider.crypto().sign(self.signature_scheme(), payload, &self.0);
        signature.map_err(SignerError::CryptoError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SUITE.signature_algorithm()
    }
}

impl Mallory {
    pub fn of(name: &str) -> Mallory {
        let provider = OpenMlsRustCrypto::default();
        let keys = provider.crypto().signature_key_gen(SUITE.signature_algorithm());
        let (private_key, public_key) = keys.expect("there is randomness");
        Mallory {
            provider,
            signer: Key(private_key),
            credential: CredentialWithKey {
                credential: BasicCredential::new(name.into()).into(),
                signature_key: public_key.into(),
            },
            snapshot: HashMap::new(),
        }
    }

    /// Somebody of another name with the same signature key.
    pub fn renamed(&self, name: &str) -> Mallory {
        let mut other = Mallory::of(name);
        other.signer = Key(self.signer.0.clone());
        other.credential.signature_key = self.credential.signature_key.clone();
        other
    }

    pub fn key_package(&self) -> Vec<u8> {
        let package = KeyPackage::builder()
            .leaf_node_capabilities(capabilities())
            .build(SUITE, &self.provider, &self.signer, self.credential.clone())
            .expect("it can be made");
        bytes_of(&MlsMessageOut::from(package.key_package().clone()))
    }

    /// Joins the team, and comes back to this moment with each [`group`](Self::group).
    pub fn join(&mut self, welcome: &[u8]) {
        let Some(MlsMessageBodyIn::Welcome(welcome)) = read(welcome) else {
            panic!("it is no Welcome")
        };
        StagedWelcome::build_from_welcome(&self.provider, &join_config(true), welcome)
            .and_then(|builder| builder.skip_lifetime_validation().build())
            .and_then(|staged| staged.into_group(&self.provider))
            .expect("the Welcome is good");
        let stored = self.stored().clone();
        self.snapshot = stored;
    }

    /// Takes what others have sent, and comes back to the moment after it.
    pub fn receive(&mut self, message: &[u8]) {
        let mut group = self.group(true);
        let message = read(message).and_then(protocol_message).expect("it is for members");
        let processed = group.process_message(&self.provider, message).expect("it is valid");
        match processed.into_content() {
            ProcessedMessageContent::ProposalMessage(proposal) => group
                .store_pending_proposal(self.provider.storage(), *proposal)
                .expect("memory takes it"),
            ProcessedMessageContent::StagedCommitMessage(commit) => group
                .merge_staged_commit(&self.provider, *commit)
                .expect("it can be merged"),
            other => panic!("{other:?}"),
        }
        let stored = self.stored().clone();
        self.snapshot = stored;
    }

    /// The team as it was, to act in it. `public`: handshakes are public messages.
    pub fn group(&self, public: bool) -> MlsGroup {
        *self.stored() = self.snapshot.clone();
        let group = MlsGroup::load(self.provider.storage(), &GroupId::from_slice(TEAM));
        let mut group = group.expect("memory can be read").expect("it is a member");
        group
            .set_configuration(self.provider.storage(), &join_config(public))
            .expect("memory takes it");
        group
    }

    pub fn send(&self, group: &mut MlsGroup, text: &[u8]) -> Vec<u8> {
        let message = group.create_message(&self.provider, &self.signer, text);
        bytes_of(&message.expect("it can be sent"))
    }

    /// Proposes by reference to remove this leaf, and takes the proposal itself.
    pub fn propose_removal(&self, group: &mut MlsGroup, leaf: u32) -> Vec<u8> {
        let removal = Propose::Remove(leaf);
        let proposed = group.propose(&self.provider, &self.signer, removal, ProposalOrRefType::Reference);
        bytes_of(&proposed.expect("it can be made").0)
    }

    pub fn propose_update(&self, group: &mut MlsGroup) -> Vec<u8> {
        let update = Propose::Update(LeafNodeParameters::default());
        let proposed = group.propose(&self.provider, &self.signer, update, ProposalOrRefType::Reference);
        bytes_of(&proposed.expect("it can be made").0)
    }

    pub fn propose_to_leave(&self, group: &mut MlsGroup) -> Vec<u8> {
        let proposed = group.leave_group_via_self_remove(&self.provider, &self.signer);
        bytes_of(&proposed.expect("it can be made"))
    }

    /// The commit, the Welcome and the GroupInfo, of these proposals by value and of those it knows.
    pub fn commit(
        &self,
        group: &mut MlsGroup,
        proposals: Vec<Proposal>,
        with_path: bool,
    ) -> (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>) {
        let bundle = group
            .commit_builder()
            .force_self_update(with_path)
            .add_proposals(proposals)
            .load_psks(self.provider.storage())
            .expect("there are none")
            .create_group_info(true)
            .use_ratchet_tree_extension(true)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .expect("OpenMLS builds it")
            .stage_commit(&self.provider)
            .expect("memory takes it");
        let (commit, welcome, info) = bundle.into_messages();
        (
            bytes_of(&commit),
            welcome.map(|welcome| bytes_of(&welcome)),
            info.map(|info| bytes_of(&info)),
        )
    }

    pub fn group_info(&self, group: &MlsGroup) -> Vec<u8> {
        let info = group.export_group_info(self.provider.crypto(), &self.signer, true);
        bytes_of(&info.expect("it can be made"))
    }

    /// Joins from outside by this GroupInfo, in the place of the leaf that has its signature key, if one has.
    pub fn join_from_outside(&mut self, group_info: &[u8]) -> Vec<u8> {
        let Some(MlsMessageBodyIn::GroupInfo(info)) = read(group_info) else {
            panic!("it is no GroupInfo")
        };
        self.stored().clear();
        let leaf = LeafNodeParameters::builder().with_capabilities(capabilities()).build();
        let (_, bundle) = MlsGroup::external_commit_builder()
            .with_config(join_config(true))
            .build_group(&self.provider, info, self.credential.clone())
            .expect("the GroupInfo is good")
            .leaf_node_parameters(leaf)
            .load_psks(self.provider.storage())
            .expect("there are none")
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .expect("OpenMLS builds it")
            .finalize(&self.provider)
            .expect("memory takes it");
        bytes_of(bundle.commit())
    }

    fn stored(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<Vec<u8>, Vec<u8>>> {
        let values = self.provider.storage().values.write();
        // What a panic of its own has left is put right by the snapshot.
        values.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What the clients of the package can do.
fn capabilities() -> Capabilities {
    Capabilities::builder()
        .extensions(vec![ExtensionType::LastResort, ExtensionType::Unknown(0xF1C0)])
        .proposals(vec![ProposalType::SelfRemove])
        .build()
}

fn join_config(public: bool) -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(match public {
            true => MIXED_PLAINTEXT_WIRE_FORMAT_POLICY,
            false => MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY,
        })
        .use_ratchet_tree_extension(true)
        .build()
}

fn bytes_of(message: &MlsMessageOut) -> Vec<u8> {
    message.tls_serialize_detached().expect("it can be written")
}

fn read(bytes: &[u8]) -> Option<MlsMessageBodyIn> {
    Some(MlsMessageIn::tls_deserialize_exact_bytes(bytes).ok()?.extract())
}

fn protocol_message(message: MlsMessageBodyIn) -> Option<ProtocolMessage> {
    match message {
        MlsMessageBodyIn::PublicMessage(message) => Some(message.into()),
        MlsMessageBodyIn::PrivateMessage(message) => Some(message.into()),
        _ => None,
    }
}
