//! The codec of message secrets by itself, for the fuzzer.

use serde::{Serialize, de::DeserializeOwned};

use super::{Changes, Storage, place};
use crate::codec::{Secret, encode};
use crate::error::Result;
use crate::keystore::{Entity, Keystore};

/// The value that was cut into these rows, which are in the order of their keys. None: these are no rows of one.
pub fn join(rows: &[(Vec<u8>, Vec<u8>)]) -> Option<Secret> {
    place::join(rows)
}

/// What a value may differ in from the one that was written before it.
#[derive(Clone, Copy, Debug)]
pub enum Scope {
    /// Anything.
    All,
    /// The secrets of the present epoch.
    Present,
    /// Those that an application message of the present epoch changes.
    Message,
    /// The secrets of this past epoch.
    Past(u64),
}

/// The message secrets of one group, in a keystore in memory.
pub struct MessageSecrets(Storage);

const GROUP: &[u8] = b"group";

impl MessageSecrets {
    /// Without a value.
    pub fn new() -> Result<Self> {
        Ok(MessageSecrets(Storage::over(Keystore::in_memory()?)))
    }

    /// Writes the value in the place of the one before.
    pub fn write(&self, value: &impl Serialize, scope: Scope) -> Result<()> {
        let changes = match scope {
            Scope::All => Changes::All,
            Scope::Present => Changes::Present,
            Scope::Message => Changes::Message,
            Scope::Past(epoch) => Changes::Past(epoch),
        };
        self.0.changing(changes, || self.0.put_message_secrets(GROUP, value))
    }

    /// The value.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        self.0.message_secrets_of(GROUP)
    }

    /// Its rows, in the order of their keys.
    pub fn rows(&self) -> Result<Vec<(Vec<u8>, Secret)>> {
        self.0.keystore.rows().list(Entity::MessageSecrets, GROUP)
    }

    /// Puts a row beside them, or in the place of one.
    pub fn put(&self, key: &[u8], value: &[u8]) {
        self.0
            .keystore
            .rows()
            .put(Entity::MessageSecrets, GROUP, key, value.to_vec());
    }

    /// Gives up what was written.
    pub fn clear(&self) {
        self.0.keystore.rows().discard();
    }

    /// How a value is written in one piece.
    pub fn encoded(value: &impl Serialize) -> Result<Secret> {
        encode(value)
    }
}
