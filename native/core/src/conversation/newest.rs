//! The newest epoch of a conversation that this client has been in, or has seen begin.
//!
//! Nobody can take the client back behind it without its consent: an old Welcome or GroupInfo would
//! lead into an epoch with members who were removed since. What is known outlives the removal of this
//! client and `wipe`. It is learnt by merging and joining alone; headers of messages prove nothing.

use crate::conversation::Conversation;
use crate::error::{Code, Error, Result};
use crate::keystore::Entity;
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

/// Makes this the newest known epoch.
pub(crate) fn note_epoch(provider: &Provider, scope: &[u8], epoch: u64) -> Result<()> {
    provider.write(Entity::NewestEpoch, scope, &[], &epoch)
}

/// The newest epoch that is known.
pub(crate) fn newest_epoch(provider: &Provider, scope: &[u8]) -> Result<Option<u64>> {
    provider.read(Entity::NewestEpoch, scope, &[])
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
