//! Application messages whose fate is known: those that were received, and those that this client
//! has sent.
//!
//! They are remembered by count, whatever the epoch: a message that comes again is never told to be
//! lost, and an own message that comes back never to be forged.

use crate::conversation::Conversation;
use crate::conversation::known::MessageId;
use crate::conversation::ring::{Ring, are_sound};
use crate::error::Result;
use crate::keystore::Entity;
use crate::limits::MAX_SEEN;
use crate::provider::Provider;

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This client has sent it.
    Own = 0,
    /// It was received.
    Other = 1,
}

/// How much of an id is kept: enough that nobody finds a second message with the same beginning.
const KEPT: usize = 16;

/// An entry is the origin and the id.
const SEEN: Ring = Ring {
    entity: Entity::Seen,
    name: b"",
    entry: 1 + KEPT,
    most: MAX_SEEN,
};

impl Conversation<'_> {
    /// Remembers a message.
    pub(crate) fn see(&self, id: &MessageId, origin: Origin) -> Result<()> {
        see(self.provider, &self.scope, id, origin)
    }

    /// Where this message came from, if it is known.
    pub(crate) fn origin(&self, id: &MessageId) -> Result<Option<Origin>> {
        origin(self.provider, &self.scope, id)
    }
}

/// Fails with `CONVERSATION_CORRUPT` where what is remembered cannot be read.
pub(crate) fn sees_soundly(provider: &Provider, scope: &[u8]) -> Result<()> {
    are_sound(&[&SEEN], Entity::Seen, provider, scope)
}

/// Remembers a message of this conversation.
pub(crate) fn see(provider: &Provider, scope: &[u8], id: &MessageId, origin: Origin) -> Result<()> {
    let entry = [&[origin as u8][..], &id[..KEPT]].concat();
    SEEN.push(provider, scope, &entry)
}

/// Where this message of this conversation came from, if it is known; also of a conversation that
/// removed this client.
pub(crate) fn origin(provider: &Provider, scope: &[u8], id: &MessageId) -> Result<Option<Origin>> {
    SEEN.find(provider, scope, |entry| match entry {
        [origin, seen @ ..] if *seen == id[..KEPT] => Some(match *origin {
            origin if origin == Origin::Own as u8 => Origin::Own,
            _ => Origin::Other,
        }),
        _ => None,
    })
}
