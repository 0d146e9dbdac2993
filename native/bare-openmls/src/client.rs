//! A client of OpenMLS alone, and its membership in a group. What comes and goes are bytes, as in the core.

use openmls::prelude::*;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use tls_codec::Serialize as _;

use crate::limits::{FORWARD, OUT_OF_ORDER, PADDING, PAST_EPOCHS};

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Somebody with a signature key.
pub(crate) struct Client {
    provider: OpenMlsRustCrypto,
    private_key: Vec<u8>,
    credential: CredentialWithKey,
}

/// A group as one of its members has it.
pub(crate) struct Membership {
    group: MlsGroup,
}

impl Client {
    pub(crate) fn of(name: &str) -> Client {
        let provider = OpenMlsRustCrypto::default();
        let (private_key, public_key) = provider
            .crypto()
            .signature_key_gen(SUITE.signature_algorithm())
            .unwrap();
        let credential = CredentialWithKey {
            credential: BasicCredential::new(name.into()).into(),
            signature_key: public_key.into(),
        };
        Client {
            provider,
            private_key,
            credential,
        }
    }

    pub(crate) fn key_package(&self) -> Vec<u8> {
        let package = KeyPackage::builder().build(SUITE, &self.provider, self, self.credential.clone());
        let package = package.unwrap().key_package().clone();
        MlsMessageOut::from(package).tls_serialize_detached().unwrap()
    }

    pub(crate) fn create(&self) -> Membership {
        let group = MlsGroup::builder()
            .ciphersuite(SUITE)
            .with_wire_format_policy(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .padding_size(PADDING)
            .set_past_epoch_deletion_policy(PastEpochDeletionPolicy::MaxEpochs(past_epochs()))
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD))
            .build(&self.provider, self, self.credential.clone())
            .unwrap();
        Membership { group }
    }

    pub(crate) fn join(&self, welcome: &[u8]) -> Membership {
        let MlsMessageBodyIn::Welcome(welcome) = message(welcome).extract() else {
            panic!("it is no Welcome")
        };
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .padding_size(PADDING)
            .max_past_epochs(past_epochs())
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD))
            .build();
        let group = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None)
            .unwrap()
            .into_group(&self.provider)
            .unwrap();
        Membership { group }
    }
}

impl Membership {
    /// Adds the owners of these key packages, checked as the core checks them, in one commit; answers with the Welcome.
    pub(crate) fn add(&mut self, client: &Client, key_packages: &[Vec<u8>]) -> Vec<u8> {
        let validated = |bytes: &Vec<u8>| {
            let MlsMessageBodyIn::KeyPackage(package) = message(bytes).extract() else {
                panic!("it is no key package")
            };
            package.validate(client.provider.crypto(), ProtocolVersion::Mls10)
        };
        let key_packages: Vec<KeyPackage> = key_packages.iter().map(|bytes| validated(bytes).unwrap()).collect();
        let (commit, welcome, group_info) = self.group.add_members(&client.provider, client, &key_packages).unwrap();
        self.group.merge_pending_commit(&client.provider).unwrap();
        commit.tls_serialize_detached().unwrap();
        group_info.map(|info| info.tls_serialize_detached().unwrap());
        welcome.tls_serialize_detached().unwrap()
    }

    /// Renews this member's keys; answers with the commit.
    pub(crate) fn update(&mut self, client: &Client) -> Vec<u8> {
        let bundle = self
            .group
            .self_update(&client.provider, client, LeafNodeParameters::default())
            .unwrap();
        self.group.merge_pending_commit(&client.provider).unwrap();
        bundle.into_commit().tls_serialize_detached().unwrap()
    }

    pub(crate) fn encrypt(&mut self, client: &Client, plaintext: &[u8]) -> Vec<u8> {
        let message = self.group.create_message(&client.provider, client, plaintext);
        message.unwrap().tls_serialize_detached().unwrap()
    }

    /// Receives a message, or a commit, which takes effect.
    pub(crate) fn receive(&mut self, client: &Client, bytes: &[u8]) {
        let message = message(bytes).try_into_protocol_message().unwrap();
        let processed = self.group.process_message(&client.provider, message).unwrap();
        if let ProcessedMessageContent::StagedCommitMessage(commit) = processed.into_content() {
            self.group.merge_staged_commit(&client.provider, *commit).unwrap();
        }
    }

    pub(crate) fn leave_nothing(mut self, client: &Client) {
        self.group.delete(client.provider.storage()).unwrap();
    }
}

impl Signer for Client {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        let scheme = self.signature_scheme();
        let signed = self.provider.crypto().sign(scheme, payload, &self.private_key);
        signed.map_err(SignerError::CryptoError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SUITE.signature_algorithm()
    }
}

fn message(bytes: &[u8]) -> MlsMessageIn {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).unwrap()
}

fn past_epochs() -> usize {
    usize::try_from(PAST_EPOCHS).unwrap()
}
