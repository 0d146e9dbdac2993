//! Credentials of this client and their signature keys.

use openmls::prelude::{BasicCredential, Ciphersuite, CredentialWithKey, OpenMlsCrypto, SignatureScheme};
use openmls_traits::OpenMlsProvider;
use openmls_traits::signatures::{Signer, SignerError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::cipher_suite::cipher_suite;
use crate::codec::decode;
use crate::conversation::commit::StagedCommit;
use crate::conversation::external_join::{JOIN, PendingJoin};
use crate::conversation::{ConversationRow, State};
use crate::error::{Code, Error, Result};
use crate::id::check_id;
use crate::keystore::Entity;
use crate::provider::Provider;
use crate::session::Session;

/// What a client says it is. X.509 chains will be a second kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Credential {
    /// The identity bytes of a client, which only the delivery service or the application vouches for (RFC 9420 section 5.3).
    Basic(#[serde(with = "serde_bytes")] Vec<u8>),
}

impl Credential {
    /// The identity bytes.
    pub fn client_id(&self) -> &[u8] {
        match self {
            Credential::Basic(identity) => identity,
        }
    }
}

/// A credential of this client, as callers see it.
#[derive(Clone, Debug)]
pub struct CredentialRef {
    /// SHA-256 of the public signature key.
    pub reference: [u8; 32],
    /// What the credential says.
    pub credential: Credential,
    /// The suite its signature key is for.
    pub cipher_suite: Ciphersuite,
}

/// The stored form: a credential with its signature key pair.
#[derive(Serialize, Deserialize)]
pub(crate) struct CredentialRow {
    pub(crate) credential: Credential,
    cipher_suite: u16,
    pub(crate) public_key: Vec<u8>,
    private_key: PrivateKey,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
struct PrivateKey(Vec<u8>);

/// The length of a private signature key in all suites, in bytes.
const PRIVATE_KEY: usize = 32;

impl CredentialRow {
    /// The row with this reference; fails with `CREDENTIAL_NOT_FOUND`, and with `DATABASE_CORRUPT` where it is damaged.
    pub(crate) fn load(provider: &Provider, reference: &[u8]) -> Result<Self> {
        let row: Option<CredentialRow> = provider.read(Entity::Credential, &[], reference)?;
        let row = row.ok_or_else(|| {
            Error::new(
                Code::CredentialNotFound,
                "There is no such credential in this keystore. Call addCredential first and use what it returns.",
            )
        })?;
        let is_sound =
            Sha256::digest(&row.public_key).as_slice() == reference && row.private_key.0.len() == PRIVATE_KEY;
        if is_sound { Ok(row) } else { Err(Error::damaged(&[])) }
    }

    fn into_ref(self, reference: &[u8]) -> Result<CredentialRef> {
        let reference = reference.try_into().map_err(|_| Error::damaged(&[]))?;
        Ok(CredentialRef {
            reference,
            cipher_suite: self.suite()?,
            credential: self.credential.clone(),
        })
    }

    pub(crate) fn suite(&self) -> Result<Ciphersuite> {
        cipher_suite(self.cipher_suite)
    }

    pub(crate) fn with_key(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.credential.client_id().to_vec()).into(),
            signature_key: self.public_key.as_slice().into(),
        }
    }

    /// What signs in the name of this credential.
    pub(crate) fn signer<'a>(&'a self, provider: &'a Provider) -> Result<KeySigner<'a>> {
        let scheme = self.suite()?.signature_algorithm();
        Ok(KeySigner {
            provider,
            scheme,
            private_key: &self.private_key,
        })
    }
}

/// Signs with a private key of the keystore.
pub(crate) struct KeySigner<'a> {
    provider: &'a Provider,
    scheme: SignatureScheme,
    private_key: &'a PrivateKey,
}

impl Signer for KeySigner<'_> {
    fn sign(&self, payload: &[u8]) -> std::result::Result<Vec<u8>, SignerError> {
        self.provider
            .crypto()
            .sign(self.scheme, payload, &self.private_key.0)
            .map_err(SignerError::CryptoError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

impl Session {
    /// Makes a signature key for this credential and keeps both. Fails with `CLIENT_MISMATCH` for another client's identity.
    pub fn add_credential(&mut self, suite: u16, credential: Credential) -> Result<CredentialRef> {
        let suite = cipher_suite(suite)?;
        check_id("client id", credential.client_id())?;
        if self.client_id()? != credential.client_id() {
            return Err(Error::new(
                Code::ClientMismatch,
                "The credential names another client than the session. Make it with the session's clientId.",
            ));
        }
        let (private_key, public_key) = self
            .provider
            .crypto()
            .signature_key_gen(suite.signature_algorithm())
            .map_err(|cause| Error::internal("no signature key could be made").caused_by(cause))?;
        let reference: [u8; 32] = Sha256::digest(&public_key).into();
        let row = CredentialRow {
            credential: credential.clone(),
            cipher_suite: suite.into(),
            public_key,
            private_key: PrivateKey(private_key),
        };
        self.provider.write(Entity::Credential, &[], &reference, &row)?;
        Ok(CredentialRef {
            reference,
            credential,
            cipher_suite: suite,
        })
    }

    /// Deletes a credential with its private key, and the key packages that were made with it. Fails with `CREDENTIAL_IN_USE`
    /// while this client is a member by it, or wants to be by a commit that is open.
    pub fn remove_credential(&mut self, reference: &[u8]) -> Result<()> {
        let row = CredentialRow::load(&self.provider, reference)?;
        if self.is_in_use(reference)? {
            return Err(Error::new(
                Code::CredentialInUse,
                "The credential is needed by a conversation, or by a commit that is open. Give these conversations another one \
                 by updateKeys, settle the commits, then remove it.",
            ));
        }
        self.forget_key_packages(|package| package.leaf_node().signature_key().as_slice() == row.public_key)?;
        self.provider.rows().delete(Entity::Credential, &[], reference);
        Ok(())
    }

    fn is_in_use(&self, reference: &[u8]) -> Result<bool> {
        for row in self.read_all::<ConversationRow>(Entity::Conversation, &[])? {
            if row.state != State::Removed && row.credential == reference {
                return Ok(true);
            }
        }
        for staged in self.read_all::<StagedCommit>(Entity::StagedCommit, &[])? {
            if staged.credential.is_some_and(|credential| *credential == reference) {
                return Ok(true);
            }
        }
        let joins = self.read_all::<PendingJoin>(Entity::PendingJoin, JOIN)?;
        Ok(joins.iter().any(|join| join.credential == reference))
    }

    /// The credential with this reference, if it is kept.
    pub(crate) fn credential_ref(&self, reference: &[u8]) -> Result<Option<CredentialRef>> {
        let Some(row) = self
            .provider
            .read::<CredentialRow>(Entity::Credential, &[], reference)?
        else {
            return Ok(None);
        };
        Ok(Some(row.into_ref(reference)?))
    }

    /// All credentials, in the order of their references.
    pub fn credentials(&self) -> Result<Vec<CredentialRef>> {
        let rows = self.provider.rows().list(Entity::Credential, &[])?;
        rows.into_iter()
            .map(|(key, value)| {
                let row: CredentialRow = decode(&value)?;
                row.into_ref(&key)
            })
            .collect()
    }
}
