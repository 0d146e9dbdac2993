//! Application messages whose fate is known: those that were received, and those that this client
//! has sent.
//!
//! They are remembered by count, whatever the epoch: a message that comes again is never told to be
//! lost, and an own message that comes back never to be forged. One row takes the ids as they come;
//! when it is full it becomes a page, and the oldest page goes.

use crate::conversation::Conversation;
use crate::conversation::known::MessageId;
use crate::error::{Error, Result};
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

/// How many ids a page has.
const PAGE: usize = 32;
/// How much of an id is kept: enough that nobody finds a second message with the same beginning.
const KEPT: usize = 16;
const ENTRY: usize = KEPT + 1;
/// The row that takes the ids begins with the number of the page that it becomes.
const HEAD: &[u8] = b"head";

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

/// Remembers a message of this conversation.
pub(crate) fn see(provider: &Provider, scope: &[u8], id: &MessageId, origin: Origin) -> Result<()> {
    let rows = provider.rows();
    let mut head = match rows.get(Entity::Seen, scope, HEAD)? {
        Some(head) => head.to_vec(),
        None => 0u64.to_be_bytes().to_vec(),
    };
    head.push(origin as u8);
    head.extend_from_slice(&id[..KEPT]);
    if head.len() >= 8 + PAGE * ENTRY {
        let number = number_of(&head)?;
        rows.put(Entity::Seen, scope, &number.to_be_bytes(), entries(&head).to_vec());
        let most = (MAX_SEEN / PAGE) as u64;
        if let Some(oldest) = number.checked_sub(most) {
            rows.delete(Entity::Seen, scope, &oldest.to_be_bytes());
        }
        head = (number + 1).to_be_bytes().to_vec();
    }
    rows.put(Entity::Seen, scope, HEAD, head);
    Ok(())
}

/// Where this message of this conversation came from, if it is known; also of a conversation that
/// removed this client. Reads the newest page first.
pub(crate) fn origin(provider: &Provider, scope: &[u8], id: &MessageId) -> Result<Option<Origin>> {
    let rows = provider.rows();
    let Some(head) = rows.get(Entity::Seen, scope, HEAD)? else {
        return Ok(None);
    };
    if let Some(origin) = find(entries(&head), id) {
        return Ok(Some(origin));
    }
    for number in (0..number_of(&head)?).rev() {
        let Some(page) = rows.get(Entity::Seen, scope, &number.to_be_bytes())? else {
            break;
        };
        if let Some(origin) = find(&page, id) {
            return Ok(Some(origin));
        }
    }
    Ok(None)
}

fn number_of(head: &[u8]) -> Result<u64> {
    let number = head
        .first_chunk()
        .ok_or_else(|| Error::internal("the row of seen messages is too short"))?;
    Ok(u64::from_be_bytes(*number))
}

fn entries(head: &[u8]) -> &[u8] {
    head.get(8..).unwrap_or_default()
}

fn find(entries: &[u8], id: &MessageId) -> Option<Origin> {
    let entry = entries.chunks_exact(ENTRY).find(|entry| entry[1..] == id[..KEPT])?;
    Some(if entry[0] == Origin::Own as u8 {
        Origin::Own
    } else {
        Origin::Other
    })
}
