//! The OpenMLS provider: RustCrypto for cryptography and randomness, the keystore for storage.

use openmls::messages::group_info::GROUP_INFO_GATE;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::OpenMlsProvider;
use serde::{Serialize, de::DeserializeOwned};

use crate::error::Result;
use crate::frame;
use crate::keystore::{Entity, Keystore, Rows};
use crate::storage::{Changes, Storage};
use crate::time::Clock;

/// Everything OpenMLS needs from outside, and the time, for which OpenMLS asks nobody.
pub(crate) struct Provider {
    crypto: RustCrypto,
    storage: Storage,
    clock: Clock,
}

impl Provider {
    pub(crate) fn new(keystore: Keystore) -> Self {
        GROUP_INFO_GATE.get_or_init(|| may_be_decoded);
        Provider {
            crypto: RustCrypto::default(),
            storage: Storage::over(keystore),
            clock: Clock::default(),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn rows(&self) -> &Rows {
        self.storage.keystore.rows()
    }

    /// The value of a row, decoded.
    pub(crate) fn read<T: DeserializeOwned>(&self, entity: Entity, scope: &[u8], key: &[u8]) -> Result<Option<T>> {
        self.storage.read(entity, scope, key)
    }

    /// Sets the value of a row.
    pub(crate) fn write(&self, entity: Entity, scope: &[u8], key: &[u8], value: &impl Serialize) -> Result<()> {
        self.storage.write(entity, scope, key, value)
    }

    /// Does work of which no access to the storage may fail: where one does, this is the failure,
    /// whatever OpenMLS makes of it.
    pub(crate) fn watching<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        self.storage.watching(work)
    }

    /// Does what changes no message secrets but these, so that the others need not be looked at.
    pub(crate) fn changing<R>(&self, changes: Changes, work: impl FnOnce() -> R) -> R {
        self.storage.changing(changes, work)
    }

    pub(crate) fn into_keystore(self) -> Keystore {
        self.storage.keystore
    }
}

/// Whether OpenMLS may decode the GroupInfo of a Welcome.
fn may_be_decoded(group_info: &[u8]) -> bool {
    frame::group_info(group_info).is_ok_and(|info| info.is_signed(&RustCrypto::default()))
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = RustCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = Storage;

    fn storage(&self) -> &Storage {
        &self.storage
    }

    fn crypto(&self) -> &RustCrypto {
        &self.crypto
    }

    fn rand(&self) -> &RustCrypto {
        &self.crypto
    }
}
