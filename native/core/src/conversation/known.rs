//! Handshakes that are known already: commits of this client, and what it has processed of others.
//!
//! An own commit that comes back cannot be recognised by its content (its sender data proves
//! nothing), so its hash is kept. Both kinds are remembered by count, each for itself: what others
//! send does not make this client forget what it has sent itself. Application messages are
//! remembered in the same way (`seen.rs`).

use sha2::{Digest, Sha256};

use crate::conversation::Conversation;
use crate::conversation::ring::{Ring, are_sound};
use crate::error::Result;
use crate::keystore::Entity;
use crate::limits::{MAX_KNOWN_OWN, MAX_KNOWN_PROCESSED, MAX_MESSAGE};
use crate::provider::Provider;

/// SHA-256 of a message: the messageId, and for a commit the commitId. Of a message that is larger
/// than [`MAX_MESSAGE`] only the first `MAX_MESSAGE + 1` bytes are hashed, so that refusing it
/// costs the same whatever its size.
pub type MessageId = [u8; 32];

/// What became of a known handshake. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// An own commit that is still staged.
    Sent = 0,
    /// An own commit that became the epoch after its own.
    Merged = 1,
    /// An own commit that lost to another of its epoch.
    Lost = 2,
    /// An own commit that the delivery service refused for good.
    Refused = 3,
    /// Another member's handshake.
    Processed = 4,
}

impl Fate {
    const ALL: [Fate; 5] = [Fate::Sent, Fate::Merged, Fate::Lost, Fate::Refused, Fate::Processed];
}

/// How much of an id is kept: enough that nobody finds a second message with the same beginning.
const KEPT: usize = 16;

/// An entry is the fate and the id. An own commit has an entry for each fate that it has had; the
/// newest counts.
const OWN: Ring = Ring {
    entity: Entity::KnownMessage,
    name: b"own:",
    entry: 1 + KEPT,
    most: MAX_KNOWN_OWN,
};
const PROCESSED: Ring = Ring {
    name: b"got:",
    most: MAX_KNOWN_PROCESSED,
    ..OWN
};

/// The messageId of these bytes.
pub fn message_id(bytes: &[u8]) -> MessageId {
    Sha256::digest(&bytes[..bytes.len().min(MAX_MESSAGE + 1)]).into()
}

/// Fails with `CONVERSATION_CORRUPT` where what is remembered cannot be read.
pub(crate) fn knows_soundly(provider: &Provider, scope: &[u8]) -> Result<()> {
    are_sound(&[&OWN, &PROCESSED], Entity::KnownMessage, provider, scope)
}

impl Conversation<'_> {
    /// Remembers what became of a handshake.
    pub(crate) fn remember(&self, id: &MessageId, fate: Fate) -> Result<()> {
        let ring = if fate == Fate::Processed { PROCESSED } else { OWN };
        let entry = [&[fate as u8][..], &id[..KEPT]].concat();
        ring.push(self.provider, &self.scope, &entry)
    }

    /// What became of this handshake, if that is known.
    pub(crate) fn fate(&self, id: &MessageId) -> Result<Option<Fate>> {
        let read = |entry: &[u8]| match entry {
            [fate, known @ ..] if *known == id[..KEPT] => Fate::ALL.into_iter().find(|known| *known as u8 == *fate),
            _ => None,
        };
        match OWN.find(self.provider, &self.scope, read)? {
            None => PROCESSED.find(self.provider, &self.scope, read),
            own => Ok(own),
        }
    }
}
