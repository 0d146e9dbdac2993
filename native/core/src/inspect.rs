//! Reading the framing of a message without any state (RFC 9420 section 6).

use openmls::prelude::{ContentType, MlsMessageBodyIn, MlsMessageIn, ProtocolMessage};
use tls_codec::DeserializeBytes;

use crate::conversation::group_info::lets_join;
use crate::error::{Code, Error, Result};
use crate::limits::MAX_MESSAGE;

/// What the framing of a message tells everybody, the delivery service too.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What it is.
    pub kind: Kind,
    /// Whether its content is encrypted.
    pub encrypted: bool,
    /// Whether it is a commit or proposal of somebody who is no member.
    pub external: bool,
    /// Of a GroupInfo: whether its tree says that clients may join by an external commit.
    pub external_join: Option<bool>,
    /// Where a group message or GroupInfo belongs.
    pub conversation_id: Option<Vec<u8>>,
    /// The epoch of a group message or GroupInfo.
    pub epoch: Option<u64>,
    /// The suite of a Welcome, GroupInfo or key package.
    pub cipher_suite: Option<u16>,
}

/// The kinds of MLSMessage, group messages by their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An application message.
    Message,
    /// A proposal.
    Proposal,
    /// A commit.
    Commit,
    /// A Welcome.
    Welcome,
    /// A GroupInfo.
    GroupInfo,
    /// A key package.
    KeyPackage,
}

/// Reads the framing; nothing is verified. Fails with `MESSAGE_INVALID`.
pub fn inspect_message(bytes: &[u8]) -> Result<Inspection> {
    let invalid = |what: &str| {
        Error::new(
            Code::MessageInvalid,
            format!("{what}. Give the bytes as they were sent."),
        )
    };
    if bytes.len() > MAX_MESSAGE {
        return Err(invalid("The message is larger than any that is accepted"));
    }
    let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes)
        .map_err(|cause| invalid("The bytes are not an MLSMessage").caused_by(cause))?;
    Ok(match message.extract() {
        MlsMessageBodyIn::PublicMessage(message) => of_group(&message.into(), false),
        MlsMessageBodyIn::PrivateMessage(message) => of_group(&message.into(), true),
        MlsMessageBodyIn::Welcome(welcome) => stateless(Kind::Welcome, true, welcome.ciphersuite().into()),
        MlsMessageBodyIn::GroupInfo(info) => Inspection {
            conversation_id: Some(info.group_id().as_slice().to_vec()),
            epoch: Some(info.epoch().as_u64()),
            external_join: Some(lets_join(&info).unwrap_or(false)),
            ..stateless(Kind::GroupInfo, false, info.ciphersuite().into())
        },
        // OpenMLS keeps the suite of an unverified key package to itself. It stands after the versions of the message and of the
        // key package and the wire format, two bytes each.
        MlsMessageBodyIn::KeyPackage(_) => stateless(Kind::KeyPackage, false, u16::from_be_bytes([bytes[6], bytes[7]])),
    })
}

fn of_group(message: &ProtocolMessage, encrypted: bool) -> Inspection {
    let kind = match message.content_type() {
        ContentType::Application => Kind::Message,
        ContentType::Proposal => Kind::Proposal,
        ContentType::Commit => Kind::Commit,
    };
    let conversation_id = Some(message.group_id().as_slice().to_vec());
    Inspection {
        kind,
        encrypted,
        external: message.is_external(),
        external_join: None,
        conversation_id,
        epoch: Some(message.epoch().as_u64()),
        cipher_suite: None,
    }
}

fn stateless(kind: Kind, encrypted: bool, cipher_suite: u16) -> Inspection {
    Inspection {
        kind,
        encrypted,
        external: false,
        external_join: None,
        conversation_id: None,
        epoch: None,
        cipher_suite: Some(cipher_suite),
    }
}
