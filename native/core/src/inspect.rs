//! Reading the framing of a message without any state (RFC 9420 section 6).

use crate::conversation::external_join::lets_join;
use crate::error::{Code, Error, Result};
use crate::frame::{Content, Flaw, Frame, Sender, read};

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

/// Reads the framing; nothing is verified, and nothing beyond the answer is allocated. Fails with
/// `MESSAGE_INVALID`.
pub fn inspect_message(bytes: &[u8]) -> Result<Inspection> {
    let frame = read(bytes).map_err(|flaw| {
        let what = match flaw {
            Flaw::Malformed => "The bytes are not an MLSMessage",
            Flaw::TooLarge => "The message is larger than any that is accepted",
        };
        Error::new(
            Code::MessageInvalid,
            format!("{what}. Give the bytes as they were sent."),
        )
    })?;
    Ok(match frame {
        Frame::Group(message) => Inspection {
            kind: match message.content {
                Content::Application => Kind::Message,
                Content::Proposal => Kind::Proposal,
                Content::Commit => Kind::Commit,
            },
            encrypted: message.encrypted,
            external: message.sender == Sender::Outside,
            external_join: None,
            conversation_id: Some(message.conversation_id.to_vec()),
            epoch: Some(message.epoch),
            cipher_suite: None,
        },
        Frame::Welcome(welcome) => stateless(Kind::Welcome, true, welcome.cipher_suite),
        Frame::GroupInfo(info) => Inspection {
            conversation_id: Some(info.conversation_id.to_vec()),
            epoch: Some(info.epoch),
            external_join: Some(lets_join(&info)),
            ..stateless(Kind::GroupInfo, false, info.cipher_suite)
        },
        Frame::KeyPackage { cipher_suite } => stateless(Kind::KeyPackage, false, cipher_suite),
    })
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
