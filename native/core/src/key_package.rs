//! Key packages: what others need to add this client to a conversation while it is offline (RFC 9420 section 10).

mod forget;
pub(crate) mod lifetime;
pub(crate) mod others;

use std::time::Duration;

use openmls::prelude::{
    Capabilities, Ciphersuite, ExtensionType, KeyPackage as MlsKeyPackage, KeyPackageBundle, Lifetime, MlsMessageOut,
    OpenMlsCrypto, ProposalType,
};
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::StorageProvider;
use serde::{Deserialize, Serialize};
use tls_codec::Serialize as _;

use crate::cipher_suite::cipher_suite;
use crate::conversation::external_join::EXTERNAL_JOIN;
use crate::credential::CredentialRow;
use crate::error::{Error, Result};
use crate::key_package::forget::hash_ref;
use crate::key_package::lifetime::own_lifetime;
use crate::keystore::Entity;
use crate::limits::MAX_KEY_PACKAGES;
use crate::session::Session;

/// A key package of this client.
#[derive(Clone, Debug)]
pub struct KeyPackage {
    /// The MLSMessage to publish; empty where it was not asked for, or is not to be published any more.
    pub bytes: Vec<u8>,
    /// The KeyPackageRef (RFC 9420 section 5.2).
    pub reference: Vec<u8>,
    /// The suite it is for.
    pub cipher_suite: Ciphersuite,
    /// The end of its lifetime, in milliseconds since 1970.
    pub not_after_ms: u64,
    /// Whether that is over.
    pub expired: bool,
    /// Whether it may be used more than once, for want of others (RFC 9420 section 16.8).
    pub last_resort: bool,
}

/// What is kept beside OpenMLS' bundle of private keys.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeyPackageRow {
    pub(crate) credential: Vec<u8>,
    pub(crate) cipher_suite: u16,
    pub(crate) not_after_ms: u64,
    pub(crate) last_resort: bool,
    /// When another last-resort key package of its credential was made, in milliseconds since 1970.
    pub(crate) replaced_ms: Option<u64>,
}

/// What this client's leaves say they can do: what the provider carries, last-resort key packages, the
/// declaration of external joins, and SelfRemove proposals.
pub(crate) fn capabilities(crypto: &impl OpenMlsCrypto) -> Capabilities {
    let suites: Vec<Ciphersuite> = crate::cipher_suite::CIPHER_SUITES
        .iter()
        .copied()
        .filter(|suite| crypto.supports(*suite).is_ok())
        .collect();
    Capabilities::builder()
        .ciphersuites(suites)
        .extensions(vec![ExtensionType::LastResort, ExtensionType::Unknown(EXTERNAL_JOIN)])
        .proposals(vec![ProposalType::SelfRemove])
        .build()
}

impl Session {
    /// Makes key packages for a credential. Their private keys are stored before this returns, also inside a transaction that
    /// is taken back later: bytes that were handed out can always be joined with. `lifetime` counts from now. A last-resort one
    /// replaces the one before, which can be joined with for some days more.
    pub fn generate_key_packages(
        &mut self,
        credential: &[u8],
        count: usize,
        lifetime: Option<Duration>,
        last_resort: bool,
    ) -> Result<Vec<KeyPackage>> {
        if count == 0 || count > MAX_KEY_PACKAGES {
            return Err(Error::invalid(format!(
                "Ask for 1 to {MAX_KEY_PACKAGES} key packages at once, not {count}."
            )));
        }
        let lifetime = own_lifetime(lifetime, self.provider.clock().now_secs())?;
        let row = CredentialRow::load(&self.provider, credential)?;
        let savepoint = self.provider.rows().savepoint();
        // The credential goes with them: without its signature key nobody could join.
        self.provider.write(Entity::Credential, &[], credential, &row)?;
        if last_resort {
            self.retire_last_resort(credential)?;
        }
        let packages = (0..count)
            .map(|_| self.generate_key_package(credential, &row, &lifetime, last_resort))
            .collect::<Result<Vec<_>>>()?;
        self.store_now(savepoint)?;
        self.expect_old_key_packages();
        Ok(packages)
    }

    fn generate_key_package(
        &self,
        credential: &[u8],
        row: &CredentialRow,
        lifetime: &Lifetime,
        last_resort: bool,
    ) -> Result<KeyPackage> {
        let suite = row.suite()?;
        let mut builder = MlsKeyPackage::builder()
            .key_package_lifetime(*lifetime)
            .leaf_node_capabilities(capabilities(self.provider.crypto()));
        if last_resort {
            builder = builder.mark_as_last_resort();
        }
        let package = builder
            .build(suite, &self.provider, &row.signer(&self.provider)?, row.with_key())
            .map_err(|cause| Error::internal("no key package could be made").caused_by(cause))?
            .into_key_package();
        let reference = reference_of(self.provider.crypto(), &package)?;
        let not_after_ms = lifetime.not_after().saturating_mul(1000);
        let stored = KeyPackageRow {
            credential: credential.to_vec(),
            cipher_suite: suite.into(),
            not_after_ms,
            last_resort,
            replaced_ms: None,
        };
        self.provider.write(Entity::KeyPackage, &[], &reference, &stored)?;
        Ok(KeyPackage {
            bytes: framed(package)?,
            reference,
            cipher_suite: suite,
            not_after_ms,
            expired: false,
            last_resort,
        })
    }

    /// All key packages whose private keys are here, without their bytes.
    pub fn key_packages(&self) -> Result<Vec<KeyPackage>> {
        self.list_key_packages(false)
    }

    /// The same, with the bytes of those that can be published: not those that have expired or were replaced.
    pub fn key_packages_with_bytes(&self) -> Result<Vec<KeyPackage>> {
        self.list_key_packages(true)
    }

    fn list_key_packages(&self, with_bytes: bool) -> Result<Vec<KeyPackage>> {
        let now_ms = self.provider.clock().now_ms();
        let mut key_packages = Vec::new();
        for reference in self.provider.rows().keys(Entity::KeyPackage, &[])? {
            // One that is damaged is of no use, and soon deleted.
            let Some(row) = self.key_package_row(&reference)? else {
                continue;
            };
            let expired = row.not_after_ms <= now_ms;
            let bytes = if with_bytes && !expired && row.replaced_ms.is_none() {
                match self.bytes_of_key_package(&reference)? {
                    Some(bytes) => bytes,
                    None => continue,
                }
            } else {
                Vec::new()
            };
            key_packages.push(KeyPackage {
                bytes,
                reference,
                cipher_suite: cipher_suite(row.cipher_suite)?,
                not_after_ms: row.not_after_ms,
                expired,
                last_resort: row.last_resort,
            });
        }
        Ok(key_packages)
    }

    /// `None` where its private keys are gone, so that nobody can be added by it.
    fn bytes_of_key_package(&self, reference: &[u8]) -> Result<Option<Vec<u8>>> {
        let bundle: Option<KeyPackageBundle> = self.provider.storage().key_package(&hash_ref(reference)?)?;
        bundle.map(|bundle| framed(bundle.key_package().clone())).transpose()
    }
}

fn framed(package: MlsKeyPackage) -> Result<Vec<u8>> {
    MlsMessageOut::from(package)
        .tls_serialize_detached()
        .map_err(|cause| Error::internal("a key package could not be written").caused_by(cause))
}

/// The KeyPackageRef.
pub(crate) fn reference_of(crypto: &impl OpenMlsCrypto, package: &MlsKeyPackage) -> Result<Vec<u8>> {
    let reference = package
        .hash_ref(crypto)
        .map_err(|cause| Error::internal("a key package could not be hashed").caused_by(cause))?;
    Ok(reference.as_slice().to_vec())
}
