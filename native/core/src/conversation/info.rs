//! What can be asked about a conversation.

use openmls_traits::OpenMlsProvider;
use tls_codec::Serialize as _;

use crate::codec::decode;
use crate::conversation::{ConversationRow, State};
use crate::error::{Error, Result};
use crate::keystore::Entity;
use crate::member::{Member, members};
use crate::session::Session;

/// The longest exported secret: 255 hashes of 32 bytes (RFC 5869 section 2.3).
const MAX_EXPORT: usize = 255 * 32;

impl Session {
    /// The ids of all conversations, those that removed this client too.
    pub fn conversations(&self) -> Result<Vec<Vec<u8>>> {
        let rows = self.provider.rows().list_all(Entity::Conversation)?;
        rows.iter()
            .map(|(_, _, value)| Ok(decode::<ConversationRow>(value)?.id))
            .collect()
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

    /// A secret that all members of this epoch can derive (RFC 9420 section 8.5).
    pub fn export_secret(&mut self, id: &[u8], label: &str, context: &[u8], length: usize) -> Result<Vec<u8>> {
        if length == 0 || length > MAX_EXPORT {
            return Err(Error::invalid(format!(
                "Ask for a secret of 1 to {MAX_EXPORT} bytes, not {length}."
            )));
        }
        self.in_conversation(id, |conversation| {
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
