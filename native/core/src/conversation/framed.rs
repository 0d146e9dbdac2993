//! Group messages as far as they can be read without any state (RFC 9420 section 6).

use openmls::prelude::{ContentType, MlsMessageBodyIn, MlsMessageIn, ProtocolMessage};
use tls_codec::DeserializeBytes;

use crate::conversation::known::MessageId;
use crate::conversation::received::{Received, What};
use crate::frame::{Content, Flaw, Frame, Sender, read};

/// What is said of bytes that are no message.
pub(crate) const NO_MESSAGE: &str = "The bytes are not an MLSMessage.";

/// The frame of a group message, and its bytes, which are not decoded yet.
pub(crate) struct Framed<'b> {
    pub(crate) message_id: MessageId,
    pub(crate) conversation_id: Vec<u8>,
    pub(crate) epoch: u64,
    pub(crate) content: ContentType,
    pub(crate) sender: Sender,
    pub(crate) bytes: &'b [u8],
}

impl Framed<'_> {
    pub(crate) fn answer(&self, what: What) -> Received {
        let conversation_id = Some(self.conversation_id.clone());
        Received {
            message_id: self.message_id,
            conversation_id,
            epoch: self.epoch,
            what,
        }
    }

    /// Whether it is a proposal or commit of somebody who is no member.
    pub(crate) fn is_external(&self) -> bool {
        self.sender == Sender::Outside
    }

    /// The message, decoded anew each time, so that it is in memory only while OpenMLS looks at it;
    /// `None` where OpenMLS finds fault with it.
    pub(crate) fn message(&self) -> Option<ProtocolMessage> {
        match MlsMessageIn::tls_deserialize_exact_bytes(self.bytes).ok()?.extract() {
            MlsMessageBodyIn::PublicMessage(message) => Some(message.into()),
            MlsMessageBodyIn::PrivateMessage(message) => Some(message.into()),
            _ => None,
        }
    }
}

/// Reads the frame of the message with this id; `None` is a Welcome.
pub(crate) fn frame(bytes: &[u8], message_id: MessageId) -> std::result::Result<Option<Framed<'_>>, &'static str> {
    let message = match read(bytes) {
        Ok(Frame::Group(message)) => message,
        Ok(Frame::Welcome(_)) => return Ok(None),
        Ok(Frame::GroupInfo(_)) => return Err("A GroupInfo is not a message to receive."),
        Ok(Frame::KeyPackage { .. }) => return Err("A key package is not a message to receive."),
        Err(Flaw::Malformed) => return Err(NO_MESSAGE),
        Err(Flaw::TooLarge) => return Err("The message is larger than any that is accepted."),
    };
    Ok(Some(Framed {
        message_id,
        conversation_id: message.conversation_id.to_vec(),
        epoch: message.epoch,
        content: match message.content {
            Content::Application => ContentType::Application,
            Content::Proposal => ContentType::Proposal,
            Content::Commit => ContentType::Commit,
        },
        sender: message.sender,
        bytes,
    }))
}
