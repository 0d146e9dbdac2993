//! Handshakes that are known already: commits of this client, and what it has processed of others.
//!
//! An own commit that comes back cannot be recognised by its content (its sender data proves nothing), so its hash is kept
//! until its epoch leaves the window. A handshake that comes later is stale, whoever made it. Application messages are
//! remembered by count (`seen.rs`).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::conversation::Conversation;
use crate::error::Result;
use crate::keystore::Entity;
use crate::limits::PAST_EPOCHS;

/// SHA-256 of a message: the messageId, and for a commit the commitId.
pub type MessageId = [u8; 32];

/// What became of a known handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fate {
    /// An own commit that is still staged.
    Sent,
    /// An own commit that became the epoch after its own.
    Merged,
    /// An own commit that lost to another of its epoch.
    Lost,
    /// An own commit that the delivery service refused for good.
    Refused,
    /// Another member's handshake.
    Processed,
}

/// The messageId of these bytes.
pub fn message_id(bytes: &[u8]) -> MessageId {
    Sha256::digest(bytes).into()
}

impl Conversation<'_> {
    pub(crate) fn remember(&self, id: &MessageId, epoch: u64, fate: Fate) -> Result<()> {
        self.provider
            .write(Entity::KnownMessage, &self.scope, &key(epoch, id), &fate)
    }

    pub(crate) fn fate(&self, id: &MessageId, epoch: u64) -> Result<Option<Fate>> {
        self.provider.read(Entity::KnownMessage, &self.scope, &key(epoch, id))
    }

    /// The fate of an own commit whose epoch the caller did not keep.
    pub(crate) fn fate_of_commit(&self, id: &MessageId) -> Result<Option<Fate>> {
        for epoch in self.epoch().saturating_sub(PAST_EPOCHS)..=self.epoch() {
            if let Some(fate) = self.fate(id, epoch)? {
                return Ok(Some(fate));
            }
        }
        Ok(None)
    }

    /// Forgets the messages of epochs that have left the window.
    pub(crate) fn prune_known(&self) -> Result<()> {
        let end = self.epoch().saturating_sub(PAST_EPOCHS).to_be_bytes();
        for key in self.provider.rows().keys(Entity::KnownMessage, &self.scope)? {
            if key.as_slice() < end.as_slice() {
                self.provider.rows().delete(Entity::KnownMessage, &self.scope, &key);
            }
        }
        Ok(())
    }
}

/// Ordered by epoch, so that whole epochs can be forgotten.
fn key(epoch: u64, id: &MessageId) -> [u8; 40] {
    let mut key = [0; 40];
    key[..8].copy_from_slice(&epoch.to_be_bytes());
    key[8..].copy_from_slice(id);
    key
}
