//! Sending application messages (RFC 9420 section 15).

use openmls::group::{CreateMessageError, MlsGroupStateError};
use tls_codec::Serialize as _;

use crate::conversation::State;
use crate::conversation::known::message_id;
use crate::conversation::seen::Origin;
use crate::error::{Code, Error, Result};
use crate::limits::{MAX_AAD, MAX_PLAINTEXT};
use crate::session::Session;
use crate::storage::Changes;

impl Session {
    /// Encrypts an application message in the present epoch. Its ratchet generation is never used again. Fails with
    /// `CONVERSATION_STALLED` where others may have left that epoch, and with `EPOCH_EXHAUSTED` where too many generations
    /// would have to be burnt, or where a lost state of the keystore may have used them.
    pub fn encrypt(&mut self, id: &[u8], plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
        check_length("plaintext", plaintext, MAX_PLAINTEXT)?;
        check_length("additional authenticated data", aad, MAX_AAD)?;
        self.in_conversation(id, |conversation| {
            if conversation.row.state == State::Founding {
                return Err(Error::new(
                    Code::CommitOutcomeUnknown,
                    "It is not known yet whether the commit that founds this conversation was accepted, so nobody could \
                     read the message. Call settle() first.",
                ));
            }
            conversation.refuse_when_stalled()?;
            conversation.refuse_until_renewed()?;
            // With proposals pending nothing can be sent, so nothing needs to be burnt either.
            if conversation.group.has_pending_proposals() {
                return Err(pending_proposals());
            }
            let sent = conversation.burn_reserved()?;
            conversation.reserve(sent)?;
            let credential = conversation.credential()?;
            // Set also when empty: that of a failed attempt would stay for this message.
            conversation.group.set_aad(aad.to_vec());
            let signer = credential.signer(conversation.provider)?;
            let (provider, group) = (conversation.provider, &mut conversation.group);
            let message = provider
                .changing(Changes::Message, || group.create_message(provider, &signer, plaintext))
                .map_err(|cause| match cause {
                    CreateMessageError::GroupStateError(MlsGroupStateError::PendingProposal) => pending_proposals(),
                    cause => Error::internal("the message could not be encrypted").caused_by(cause),
                })?
                .tls_serialize_detached()
                .map_err(|cause| Error::internal("the message could not be written").caused_by(cause))?;
            conversation.count_message(sent)?;
            let id = message_id(&message);
            conversation.see(&id, Origin::Own)?;
            conversation.hand_out(id);
            Ok(message)
        })
    }
}

fn check_length(what: &str, bytes: &[u8], most: usize) -> Result<()> {
    if bytes.len() > most {
        let message = format!(
            "The {what} has {} bytes; at most {most} can be sent in one message. Send it in parts.",
            bytes.len()
        );
        return Err(Error::invalid(message));
    }
    Ok(())
}

fn pending_proposals() -> Error {
    Error::new(
        Code::PendingProposals,
        "A proposal waits for a commit, and until then nothing may be sent (RFC 9420 section 12.4). Call \
         commitPendingProposals(), or receive the commit of another member.",
    )
}
