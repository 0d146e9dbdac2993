//! The newest epoch of a conversation that this client has been in, or has seen begin.
//!
//! Nobody can take the client back behind it without its consent: an old Welcome or GroupInfo would
//! lead into an epoch with members who were removed since. What is known outlives the removal of
//! this client and `wipe`; of conversations that are gone, those that went last are known. It is
//! learnt by merging and joining alone; headers of messages prove nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::conversation::Conversation;
use crate::error::{Code, Error, Result};
use crate::keystore::Entity;
use crate::limits::MAX_NEWEST_OF_GONE;
use crate::provider::Provider;
use crate::session::Session;

impl Session {
    /// Fails with `ROLLBACK_REFUSED` for an epoch older than the newest that is known, unless allowed.
    pub(crate) fn refuse_rollback(&self, scope: &[u8], epoch: u64, allowed: bool) -> Result<()> {
        match newest_epoch(&self.provider, scope)? {
            Some(newest) if epoch < newest && !allowed => Err(rollback(newest)),
            _ => Ok(()),
        }
    }
}

impl Conversation<'_> {
    /// The present epoch is the newest one, whatever was known before.
    pub(crate) fn note_epoch(&self) -> Result<()> {
        note_epoch(self.provider, &self.scope, self.epoch())
    }
}

/// The newest epoch of a conversation.
#[derive(Serialize, Deserialize)]
struct Newest {
    epoch: u64,
    /// When the conversation was wiped, in milliseconds since 1970; 0: it was not.
    gone_ms: u64,
}

/// Makes this the newest known epoch.
pub(crate) fn note_epoch(provider: &Provider, scope: &[u8], epoch: u64) -> Result<()> {
    let newest = Newest { epoch, gone_ms: 0 };
    provider.write(Entity::NewestEpoch, scope, &[], &newest)
}

/// The newest epoch that is known.
pub(crate) fn newest_epoch(provider: &Provider, scope: &[u8]) -> Result<Option<u64>> {
    let newest: Option<Newest> = provider.read(Entity::NewestEpoch, scope, &[])?;
    Ok(newest.map(|newest| newest.epoch))
}

/// Deletes what is known of the newest epoch where it cannot be read.
pub(crate) fn drop_damaged_newest(provider: &Provider, scope: &[u8]) -> Result<()> {
    for key in provider.rows().keys(Entity::NewestEpoch, scope)? {
        match newest_epoch(provider, scope) {
            Ok(_) if key.is_empty() => {}
            Err(error) if error.code() != Code::ConversationCorrupt => return Err(error),
            _ => provider.rows().delete(Entity::NewestEpoch, scope, &key),
        }
    }
    Ok(())
}

/// This conversation is wiped. Of too many that are gone, what is known of those that went first is
/// forgotten, a few at a time; but not where own generations are still counted.
pub(crate) fn forget_oldest_newest(provider: &Provider, scope: &[u8]) -> Result<()> {
    const SLACK: usize = 256;
    let rows = provider.rows();
    if let Some(epoch) = newest_epoch(provider, scope)? {
        let gone_ms = provider.clock().now_ms();
        provider.write(Entity::NewestEpoch, scope, &[], &Newest { epoch, gone_ms })?;
    }
    let scopes = |entity| -> Result<BTreeSet<Vec<u8>>> {
        Ok(rows.keys_of_all(entity)?.into_iter().map(|(scope, _)| scope).collect())
    };
    let mut gone = scopes(Entity::NewestEpoch)?;
    if gone.len() <= MAX_NEWEST_OF_GONE + SLACK {
        return Ok(());
    }
    for needed in [Entity::Conversation, Entity::PendingJoin, Entity::Generations] {
        for scope in scopes(needed)? {
            gone.remove(&scope);
        }
    }
    if gone.len() <= MAX_NEWEST_OF_GONE + SLACK {
        return Ok(());
    }
    let mut by_age = Vec::new();
    for scope in gone {
        let newest = provider.read::<Newest>(Entity::NewestEpoch, &scope, &[]);
        by_age.push((newest.ok().flatten().map_or(0, |newest| newest.gone_ms), scope));
    }
    by_age.sort();
    let too_many = by_age.len() - MAX_NEWEST_OF_GONE;
    for (_, scope) in by_age.into_iter().take(too_many) {
        rows.delete(Entity::NewestEpoch, &scope, &[]);
    }
    Ok(())
}

/// What is said of a way back. `newest` is the epoch that is known.
pub(crate) fn rollback(newest: u64) -> Error {
    Error::new(
        Code::RollbackRefused,
        "It leads to an older epoch of the conversation than this client has known, where members may be who were removed \
         since. A server that replays old messages looks like this, and so does a group that others have founded anew under \
         the same id. If you know that this is so, pass allowRollback: true.",
    )
    .at_epoch(newest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keystore::Keystore;

    #[test]
    fn of_too_many_that_are_gone_those_that_went_last_are_known() {
        let provider = Provider::new(Keystore::in_memory().expect("memory is there"));
        let scope = |number: usize| (number as u64).to_be_bytes();
        provider.rows().put(Entity::Conversation, &scope(0), &[], Vec::new());
        let count = MAX_NEWEST_OF_GONE + 300;
        for number in 0..count {
            let newest = Newest {
                epoch: 7,
                gone_ms: number as u64,
            };
            provider
                .write(Entity::NewestEpoch, &scope(number), &[], &newest)
                .expect("it can be written");
        }
        forget_oldest_newest(&provider, &scope(count - 1)).expect("it can be read");
        let is_known = |number| {
            newest_epoch(&provider, &scope(number))
                .expect("it can be read")
                .is_some()
        };
        assert!(is_known(0), "one that is here is always known");
        assert!(!is_known(1) && !is_known(299));
        assert!(is_known(300) && is_known(count - 1));
    }
}
