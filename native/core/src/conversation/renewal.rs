//! After a rollback every conversation renews its keys before it sends.
//!
//! A keystore that was opened at an older state does not know what its lost state has sent: that
//! may have used the ratchets of any epoch which this client comes to from here, and which the lost
//! state may have been in too. Such an epoch ends to be one with the first own commit that is made
//! from now on: its path has secrets that the lost state never had, and so has every epoch after
//! it. Until then nothing is encrypted. That commit itself takes a generation that the lost state
//! has not reached ([`generations`](super::generations)).
//!
//! Marked are all conversations, the external commits that are on their way, and the key packages:
//! by a Welcome for one of these the lost state may have joined as well.

use serde::{Deserialize, Serialize};

use crate::codec::{decode, encode};
use crate::conversation::commit::StagedCommit;
use crate::conversation::external_join::PendingJoin;
use crate::conversation::known::MessageId;
use crate::conversation::{Conversation, ConversationRow, State};
use crate::error::{Code, Error, Result};
use crate::keystore::{Entity, Rows};
use crate::limits::PAST_EPOCHS;
use crate::provider::Provider;
use crate::session::Session;

/// The key of the row that says that a conversation has to renew its keys.
const DUE: &[u8] = b"due";
/// Up to which epoch the lost state may have sent, in a conversation that has renewed its keys.
const DONE: &[u8] = b"done";
/// Which external commit the lost state has known.
const JOIN: &[u8] = b"join";
/// Of no conversation: the references of the key packages that the lost state had.
const KEY_PACKAGES: &[u8] = b"key packages";

/// What is kept while it is due.
#[derive(Default, Serialize, Deserialize)]
struct Due {
    /// The commit that renews the keys, if it is staged.
    commit: Option<MessageId>,
}

impl Session {
    /// Marks everything that a lost, newer state of this keystore may have used. For
    /// [`Keystore::open_accepting_rollback`](crate::keystore::Keystore::open_accepting_rollback).
    pub fn accept_rollback(rows: &Rows) -> Result<()> {
        for (scope, key) in rows.keys_of_all(Entity::Conversation)? {
            // A row that cannot be read is not known to be one's that has ended. It is damage of its conversation alone.
            let row = rows.get(Entity::Conversation, &scope, &key).ok().flatten();
            let row: Option<ConversationRow> = row.and_then(|value| decode(&value).ok());
            let is_over = row.is_some_and(|row| row.state == State::Removed);
            if !is_over {
                rows.put(Entity::Renewal, &scope, DUE, encode(&Due::default())?);
            }
        }
        for (scope, key) in rows.keys_of_all(Entity::PendingJoin)? {
            let value = rows.get(Entity::PendingJoin, &scope, &key).ok().flatten();
            if let Some(join) = value.and_then(|value| decode::<PendingJoin>(&value).ok()) {
                rows.put(Entity::Renewal, &scope, JOIN, encode(&join.staged.commit_id)?);
            }
        }
        let references = rows.keys(Entity::KeyPackage, &[])?;
        rows.put(Entity::Renewal, &[], KEY_PACKAGES, encode(&references)?);
        Ok(())
    }
}

impl Conversation<'_> {
    /// `EPOCH_EXHAUSTED` while the keys have to be renewed.
    pub(crate) fn refuse_until_renewed(&self) -> Result<()> {
        if self.renewal_is_due()? {
            return Err(Error::new(
                Code::EpochExhausted,
                "Nothing can be encrypted in this epoch: the keystore was opened at an older state, and the newer one, which is \
                 lost, may have used its keys. Call updateKeys(), which begins a new epoch, and encrypt again.",
            )
            .at_epoch(self.epoch()));
        }
        Ok(())
    }

    /// Whether the lost state may have sent in this epoch.
    pub(crate) fn renewal_is_due(&self) -> Result<bool> {
        is_due(self.provider, &self.scope)
    }

    /// A commit is staged: where it is due, this one renews the keys.
    pub(crate) fn renews(&self, staged: &StagedCommit) -> Result<()> {
        if self.renewal_is_due()? {
            let commit = Some(staged.commit_id);
            self.provider
                .write(Entity::Renewal, &self.scope, DUE, &Due { commit })?;
        }
        Ok(())
    }

    /// An own commit was merged. One that was staged by the lost state renews nothing.
    pub(crate) fn was_renewed(&self, staged: &StagedCommit) -> Result<()> {
        if self.due()?.and_then(|due| due.commit) == Some(staged.commit_id) {
            self.provider.rows().delete(Entity::Renewal, &self.scope, DUE);
            self.provider.write(Entity::Renewal, &self.scope, DONE, &staged.epoch)?;
        }
        Ok(())
    }

    /// Whether an own message of that epoch, which nobody here knows, may be one of the lost state.
    pub(crate) fn lost_state_may_have_sent(&self, epoch: u64) -> Result<bool> {
        let done: Option<u64> = self.provider.read(Entity::Renewal, &self.scope, DONE)?;
        Ok(self.renewal_is_due()? || done.is_some_and(|last| epoch <= last))
    }

    /// Forgets what is of no more use once no message of the lost state can be read.
    pub(crate) fn prune_renewal(&self) -> Result<()> {
        let done: Option<u64> = self.provider.read(Entity::Renewal, &self.scope, DONE)?;
        if done.is_some_and(|last| last.saturating_add(PAST_EPOCHS) < self.epoch()) {
            self.provider.rows().delete(Entity::Renewal, &self.scope, DONE);
        }
        Ok(())
    }

    fn due(&self) -> Result<Option<Due>> {
        self.provider.read(Entity::Renewal, &self.scope, DUE)
    }
}

/// A conversation was joined by a Welcome for this key package.
pub(crate) fn joined_by_key_package(provider: &Provider, scope: &[u8], reference: &[u8]) -> Result<()> {
    let known: Option<Vec<Vec<u8>>> = provider.read(Entity::Renewal, &[], KEY_PACKAGES)?;
    let was_known = known.is_some_and(|known| known.iter().any(|known| known == reference));
    begin(provider, scope, was_known)
}

/// A conversation is about to be joined by an accepted external commit. Answers whether the lost
/// state may have been in it.
pub(crate) fn was_join_of_lost_state(provider: &Provider, scope: &[u8], commit: &MessageId) -> Result<bool> {
    let known: Option<MessageId> = provider.read(Entity::Renewal, scope, JOIN)?;
    provider.rows().delete(Entity::Renewal, scope, JOIN);
    Ok(known.as_ref() == Some(commit))
}

/// Whether the lost state may have sent in the present epoch of this conversation.
pub(crate) fn is_due(provider: &Provider, scope: &[u8]) -> Result<bool> {
    let due: Option<Due> = provider.read(Entity::Renewal, scope, DUE)?;
    Ok(due.is_some())
}

/// Fails with `CONVERSATION_CORRUPT` where what is kept here cannot be read.
pub(crate) fn renews_soundly(provider: &Provider, scope: &[u8]) -> Result<()> {
    let _: Option<Due> = provider.read(Entity::Renewal, scope, DUE)?;
    let _: Option<u64> = provider.read(Entity::Renewal, scope, DONE)?;
    let _: Option<MessageId> = provider.read(Entity::Renewal, scope, JOIN)?;
    Ok(())
}

/// A group takes the place of whatever was there: nothing is due, unless the lost state may have
/// been in it.
pub(crate) fn begin(provider: &Provider, scope: &[u8], was_in_lost_state: bool) -> Result<()> {
    for key in [DUE, DONE] {
        provider.rows().delete(Entity::Renewal, scope, key);
    }
    if was_in_lost_state {
        provider.write(Entity::Renewal, scope, DUE, &Due::default())?;
    }
    Ok(())
}
