//! What can be asked about a conversation.

use openmls_traits::OpenMlsProvider;
use tls_codec::Serialize as _;

use crate::conversation::buffer::count_waiting;
use crate::conversation::external_join::is_open;
use crate::conversation::stalled::StalledNow;
use crate::conversation::{State, id_of, not_found, scope_of};
use crate::credential::CredentialRef;
use crate::error::{Error, Result};
use crate::id::check_id;
use crate::keystore::Entity;
use crate::limits::{MAX_LABEL, MAX_SECRET_HASHES};
use crate::member::{Member, members};
use crate::session::Session;

/// How this client stands to a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Created with members by a commit that is not accepted yet.
    Founding,
    /// A member.
    Member,
    /// No member, and an external commit to become one is not settled.
    Joining,
    /// Removed.
    Removed,
}

/// What is known of a conversation at this moment.
#[derive(Clone, Debug)]
pub struct ConversationState {
    /// The present epoch; where this client was removed the last one; where it is joining the one it joins from.
    pub epoch: u64,
    /// How this client stands to it.
    pub membership: Membership,
    /// The credential that this client is known by, as long as it is kept.
    pub credential: Option<CredentialRef>,
    /// How many received proposals wait for a commit.
    pub pending_proposals: usize,
    /// Whether a commit of this client is neither accepted nor known to be lost.
    pub unsettled_commit: bool,
    /// How many messages wait for another one.
    pub waiting: usize,
    /// The commit that was not applied here, if others may have applied it.
    pub stalled: Option<StalledNow>,
    /// Whether this client has to renew its keys before it encrypts, after a rollback that was accepted.
    pub renewal_due: bool,
    /// Whether clients may join by an external commit.
    pub external_join: bool,
}

impl Session {
    /// What is known of a conversation at this moment; `CONVERSATION_NOT_FOUND` where that is nothing.
    pub fn conversation_state(&mut self, id: &[u8]) -> Result<ConversationState> {
        check_id("conversation id", id)?;
        let scope = scope_of(id)?;
        let join = self.pending_join(&scope)?;
        let row = match (self.find_row(&scope)?, &join) {
            (Some(row), _) => row,
            (None, Some(join)) => {
                return Ok(ConversationState {
                    epoch: join.staged.epoch,
                    membership: Membership::Joining,
                    credential: self.credential_ref(&join.credential)?,
                    pending_proposals: 0,
                    unsettled_commit: true,
                    waiting: count_waiting(&self.provider, &scope)?,
                    stalled: None,
                    renewal_due: false,
                    external_join: true,
                });
            }
            (None, None) => return Err(not_found()),
        };
        let waiting = count_waiting(&self.provider, &scope)?;
        let credential = self.credential_ref(&row.credential)?;
        let mut state = ConversationState {
            epoch: row.last,
            membership: Membership::Removed,
            credential,
            pending_proposals: 0,
            unsettled_commit: join.is_some(),
            waiting,
            stalled: row.stalled.clone().map(|stalled| StalledNow {
                conversation_id: row.id.clone(),
                stalled,
            }),
            renewal_due: false,
            external_join: false,
        };
        if row.state == State::Removed {
            return Ok(state);
        }
        self.in_conversation(id, |conversation| {
            state.epoch = conversation.epoch();
            state.membership = match conversation.row.state {
                State::Founding => Membership::Founding,
                _ => Membership::Member,
            };
            state.pending_proposals = conversation.group.pending_proposals().count();
            state.unsettled_commit |= conversation.has_staged()?;
            state.renewal_due = conversation.renewal_is_due()?;
            state.external_join = is_open(&conversation.group);
            Ok(state)
        })
    }

    /// The ids of all conversations, those that removed this client and those that are damaged too.
    pub fn conversations(&self) -> Result<Vec<Vec<u8>>> {
        let rows = self.provider.rows().keys_of_all(Entity::Conversation)?;
        // A scope that is no conversation's names none, and nobody can ask for it.
        Ok(rows.iter().filter_map(|(scope, _)| id_of(scope)).collect())
    }

    /// The present epoch; the last one where this client was removed.
    pub fn epoch(&mut self, id: &[u8]) -> Result<u64> {
        let (_, row) = self.conversation_row(id)?;
        match row.state {
            State::Removed => Ok(row.last),
            _ => self.in_conversation(id, |conversation| Ok(conversation.epoch())),
        }
    }

    /// Whether this client is a member.
    pub fn active(&self, id: &[u8]) -> Result<bool> {
        let (_, row) = self.conversation_row(id)?;
        Ok(row.state != State::Removed)
    }

    /// Everybody in the conversation, in the order of their leaves.
    pub fn members(&mut self, id: &[u8]) -> Result<Vec<Member>> {
        self.in_conversation(id, |conversation| Ok(members(&conversation.group)))
    }

    /// The oldest epoch whose application messages can still be read.
    pub fn oldest_readable_epoch(&mut self, id: &[u8]) -> Result<u64> {
        self.in_conversation(id, |conversation| Ok(conversation.oldest_readable()))
    }

    /// The GroupInfo of the present epoch with the ratchet tree (RFC 9420 section 12.4.3), an MLSMessage.
    pub fn group_info(&mut self, id: &[u8]) -> Result<Vec<u8>> {
        self.in_conversation(id, |conversation| {
            let credential = conversation.credential()?;
            conversation
                .group
                .export_group_info(
                    conversation.provider.crypto(),
                    &credential.signer(conversation.provider)?,
                    true,
                )
                .map_err(|cause| Error::internal("the GroupInfo could not be made").caused_by(cause))?
                .tls_serialize_detached()
                .map_err(|cause| Error::internal("the GroupInfo could not be written").caused_by(cause))
        })
    }

    /// A secret that all members of this epoch can derive (RFC 9420 section 8.5): at most 255 hashes of the conversation's suite.
    pub fn export_secret(&mut self, id: &[u8], label: &str, context: &[u8], length: usize) -> Result<Vec<u8>> {
        if label.is_empty() || label.len() > MAX_LABEL {
            return Err(Error::invalid(format!(
                "The label of a secret must have 1 to {MAX_LABEL} bytes of UTF-8."
            )));
        }
        self.in_conversation(id, |conversation| {
            let longest = MAX_SECRET_HASHES * conversation.group.ciphersuite().hash_length();
            if length == 0 || length > longest {
                return Err(Error::invalid(format!(
                    "Ask for a secret of 1 to {longest} bytes, not {length}: the hash of this cipher suite gives no more."
                )));
            }
            conversation
                .group
                .export_secret(conversation.provider.crypto(), label, context, length)
                .map_err(|cause| Error::internal("the secret could not be exported").caused_by(cause))
        })
    }

    /// Equal at two members exactly when they agree on everything in this epoch (RFC 9420 section 8.7).
    pub fn epoch_authenticator(&mut self, id: &[u8]) -> Result<Vec<u8>> {
        self.in_conversation(id, |conversation| {
            Ok(conversation.group.epoch_authenticator().as_slice().to_vec())
        })
    }
}
