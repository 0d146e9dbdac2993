//! The same group by OpenMLS alone, with its own storage in memory.

use conclave_core::limits::{FORWARD, OUT_OF_ORDER, PADDING, PAST_EPOCHS};
use openmls::prelude::*;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use tls_codec::Serialize as _;

use crate::{PLAINTEXT, micros};

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// A group whose first member is measured.
pub(crate) struct BareTeam {
    alice: Member,
    active: Vec<Member>,
    next: usize,
}

struct Member {
    client: Client,
    group: MlsGroup,
}

struct Client {
    provider: OpenMlsRustCrypto,
    private_key: Vec<u8>,
    credential: CredentialWithKey,
}

impl BareTeam {
    pub(crate) fn of(members: usize, backlog: usize) -> BareTeam {
        let client = Client::of("alice");
        let mut group = MlsGroup::builder()
            .ciphersuite(SUITE)
            .with_wire_format_policy(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .padding_size(PADDING)
            .set_past_epoch_deletion_policy(PastEpochDeletionPolicy::MaxEpochs(PAST_EPOCHS as usize))
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD))
            .build(&client.provider, &client, client.credential.clone())
            .unwrap();
        let mut active = Vec::new();
        let mut packages = Vec::new();
        for n in 1..members {
            let client = Client::of(&format!("member {n}"));
            let package = KeyPackage::builder().build(SUITE, &client.provider, &client, client.credential.clone());
            packages.push(package.unwrap().key_package().clone());
            if n % 20 == 1 {
                active.push(client);
            }
        }
        let (_, welcome, _) = group.add_members(&client.provider, &client, &packages).unwrap();
        group.merge_pending_commit(&client.provider).unwrap();
        let welcome = welcome.to_bytes().unwrap();
        let mut team = BareTeam {
            alice: Member { client, group },
            active: active.into_iter().map(|client| client.join(&welcome)).collect(),
            next: 0,
        };
        for _ in 0..PAST_EPOCHS {
            team.everybody_sends(backlog);
            let commit = team.alice.update();
            team.active.iter_mut().for_each(|member| member.receive(&commit));
        }
        team.everybody_sends(backlog);
        team
    }

    fn everybody_sends(&mut self, each: usize) {
        self.encrypt(1);
        self.receive(each * self.active.len());
    }

    pub(crate) fn encrypt(&mut self, count: usize) -> f64 {
        micros(count, || {
            for _ in 0..count {
                self.alice.encrypt();
            }
        })
    }

    pub(crate) fn receive(&mut self, count: usize) -> f64 {
        let message = |_| {
            self.next = (self.next + 1) % self.active.len();
            self.active[self.next].encrypt()
        };
        let messages: Vec<Vec<u8>> = (0..count).map(message).collect();
        micros(count, || {
            messages.iter().for_each(|message| self.alice.receive(message))
        })
    }
}

impl Member {
    fn encrypt(&mut self) -> Vec<u8> {
        let message = self
            .group
            .create_message(&self.client.provider, &self.client, &PLAINTEXT);
        message.unwrap().tls_serialize_detached().unwrap()
    }

    fn receive(&mut self, bytes: &[u8]) {
        let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes).unwrap();
        let message = message.try_into_protocol_message().unwrap();
        let processed = self.group.process_message(&self.client.provider, message).unwrap();
        if let ProcessedMessageContent::StagedCommitMessage(commit) = processed.into_content() {
            self.group.merge_staged_commit(&self.client.provider, *commit).unwrap();
        }
    }

    fn update(&mut self) -> Vec<u8> {
        let bundle = self
            .group
            .self_update(&self.client.provider, &self.client, LeafNodeParameters::default())
            .unwrap();
        self.group.merge_pending_commit(&self.client.provider).unwrap();
        bundle.into_commit().to_bytes().unwrap()
    }
}

impl Client {
    fn of(name: &str) -> Client {
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

    fn join(self, welcome: &[u8]) -> Member {
        let MlsMessageBodyIn::Welcome(welcome) = MlsMessageIn::tls_deserialize_exact_bytes(welcome).unwrap().extract()
        else {
            panic!("it is a Welcome")
        };
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .build();
        let group = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None)
            .unwrap()
            .into_group(&self.provider)
            .unwrap();
        Member { client: self, group }
    }
}

impl Signer for Client {
    fn sign(&self, payload: &[u8]) -> std::result::Result<Vec<u8>, SignerError> {
        let signed = self
            .provider
            .crypto()
            .sign(self.signature_scheme(), payload, &self.private_key);
        signed.map_err(SignerError::CryptoError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SUITE.signature_algorithm()
    }
}
