//! Group messages as far as they can be read without any state (RFC 9420 section 6).

use openmls::prelude::{ContentType, MlsMessageBodyIn, MlsMessageIn, ProtocolMessage};
use tls_codec::DeserializeBytes;

use crate::conversation::known::{MessageId, message_id};
use crate::conversation::received::{Received, What};
use crate::limits::MAX_MESSAGE;

/// The framing of a group message, and the message.
pub(crate) struct Framed {
    pub(crate) message_id: MessageId,
    pub(crate) conversation_id: Vec<u8>,
    pub(crate) epoch: u64,
    pub(crate) content: ContentType,
    pub(crate) message: ProtocolMessage,
}

impl Framed {
    pub(crate) fn answer(&self, what: What) -> Received {
        let conversation_id = Some(self.conversation_id.clone());
        Received {
            message_id: self.message_id,
            conversation_id,
            epoch: self.epoch,
            what,
        }
    }
}

/// Reads the framing; `None` is a Welcome.
pub(crate) fn frame(bytes: &[u8]) -> std::result::Result<Option<Framed>, &'static str> {
    if bytes.len() > MAX_MESSAGE {
        return Err("The message is larger than any that is accepted.");
    }
    let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes).map_err(|_| "The bytes are not an MLSMessage.")?;
    let message: ProtocolMessage = match message.extract() {
        MlsMessageBodyIn::PublicMessage(message) => message.into(),
        MlsMessageBodyIn::PrivateMessage(message) => message.into(),
        MlsMessageBodyIn::Welcome(_) => return Ok(None),
        MlsMessageBodyIn::GroupInfo(_) => return Err("A GroupInfo is not a message to receive."),
        MlsMessageBodyIn::KeyPackage(_) => return Err("A key package is not a message to receive."),
    };
    Ok(Some(Framed {
        message_id: message_id(bytes),
        conversation_id: message.group_id().as_slice().to_vec(),
        epoch: message.epoch().as_u64(),
        content: message.content_type(),
        message,
    }))
}
