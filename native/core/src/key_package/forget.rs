//! Key packages that go, with their private keys: used up another way, removed by the caller, expired, or replaced.

use openmls::prelude::hash_ref::KeyPackageRef;
use openmls::prelude::{KeyPackage as MlsKeyPackage, KeyPackageBundle};
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::StorageProvider;
use tls_codec::{DeserializeBytes, Serialize as _, VLBytes};

use crate::error::{Code, Error, Result};
use crate::key_package::{KeyPackageRow, reference_of};
use crate::keystore::Entity;
use crate::limits::{KEY_PACKAGE_GRACE_MS, MAX_FORGOTTEN, MAX_LIST};
use crate::session::Session;

impl KeyPackageRow {
    /// When its private keys are to be deleted, in milliseconds since 1970: some days after it has expired or was replaced,
    /// since a Welcome for it may be under way until then.
    fn ends_ms(&self) -> u64 {
        let over_ms = self
            .replaced_ms
            .map_or(self.not_after_ms, |at| at.min(self.not_after_ms));
        over_ms.saturating_add(KEY_PACKAGE_GRACE_MS)
    }
}

/// What [`Session::forget_old_key_packages`] has left.
pub(crate) struct Left {
    /// Whether there is more to delete now.
    pub(crate) more: bool,
    /// When the next one of the others is to be deleted, in milliseconds since 1970.
    pub(crate) next_ms: u64,
}

impl Session {
    /// Deletes these key packages, with their private keys. One that is not there is no failure.
    pub fn remove_key_packages(&mut self, references: &[Vec<u8>]) -> Result<()> {
        if references.len() > MAX_LIST {
            return Err(Error::invalid(format!(
                "Remove at most {MAX_LIST} key packages at once, not {}.",
                references.len()
            )));
        }
        references
            .iter()
            .try_for_each(|reference| self.forget_key_package(reference))
    }

    /// Deletes the key packages that ended some days ago, but not too many at once. One that is damaged is of no use any more, and
    /// goes with them.
    pub(crate) fn forget_old_key_packages(&self) -> Result<Left> {
        let now_ms = self.provider.clock().now_ms();
        let mut left = Left {
            more: false,
            next_ms: u64::MAX,
        };
        let mut forgotten = 0;
        for reference in self.provider.rows().keys(Entity::KeyPackage, &[])? {
            let ends_ms = self.key_package_row(&reference)?.map_or(0, |row| row.ends_ms());
            if ends_ms > now_ms {
                left.next_ms = left.next_ms.min(ends_ms);
            } else if forgotten < MAX_FORGOTTEN {
                self.forget_key_package(&reference)?;
                forgotten += 1;
            } else {
                left.more = true;
            }
        }
        Ok(left)
    }

    /// The last-resort key packages of this credential have been replaced now: they are not to be published again, and go.
    pub(crate) fn retire_last_resort(&self, credential: &[u8]) -> Result<()> {
        for reference in self.provider.rows().keys(Entity::KeyPackage, &[])? {
            let Some(mut row) = self.key_package_row(&reference)? else {
                continue;
            };
            if row.last_resort && row.replaced_ms.is_none() && row.credential == credential {
                row.replaced_ms = Some(self.provider.clock().now_ms());
                self.provider.write(Entity::KeyPackage, &[], &reference, &row)?;
            }
        }
        Ok(())
    }

    /// Deletes the key packages that are such, with their private keys.
    pub(crate) fn forget_key_packages(&self, which: impl Fn(&MlsKeyPackage) -> bool) -> Result<()> {
        for key in self.provider.rows().keys(Entity::KeyPackageBundle, &[])? {
            let bundle: Option<KeyPackageBundle> = whole(self.provider.read(Entity::KeyPackageBundle, &[], &key))?;
            let Some(bundle) = bundle else { continue };
            if which(bundle.key_package()) {
                let reference = reference_of(self.provider.crypto(), bundle.key_package())?;
                self.forget_key_package(&reference)?;
            }
        }
        Ok(())
    }

    /// What is known about a key package; `None` for one that is damaged.
    pub(super) fn key_package_row(&self, reference: &[u8]) -> Result<Option<KeyPackageRow>> {
        whole(self.provider.read(Entity::KeyPackage, &[], reference))
    }

    fn forget_key_package(&self, reference: &[u8]) -> Result<()> {
        let rows = self.provider.rows();
        rows.delete(Entity::KeyPackage, &[], reference);
        for key in rows.keys(Entity::UsedWelcome, &[])? {
            if key.starts_with(reference) {
                rows.delete(Entity::UsedWelcome, &[], &key);
            }
        }
        self.provider.storage().delete_key_package(&hash_ref(reference)?)
    }
}

/// What was read, or nothing where it is damaged: the others are not.
fn whole<T>(read: Result<Option<T>>) -> Result<Option<T>> {
    match read {
        Err(error) if error.code() == Code::DatabaseCorrupt => Ok(None),
        read => read,
    }
}

/// A KeyPackageRef as OpenMLS has it.
pub(super) fn hash_ref(reference: &[u8]) -> Result<KeyPackageRef> {
    let unusable = |cause| Error::internal("a KeyPackageRef cannot be used").caused_by(cause);
    let encoded = VLBytes::new(reference.to_vec()).tls_serialize_detached();
    KeyPackageRef::tls_deserialize_exact_bytes(&encoded.map_err(unusable)?).map_err(unusable)
}
