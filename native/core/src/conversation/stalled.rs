//! Being behind: a commit of a member was not applied here, and others may have applied it.
//!
//! A forgery leaves no trace. A commit that a member has signed is something else: the group may
//! have gone on with it. The conversation says so from then on, durably, and no message is
//! encrypted for an epoch that others may have left.

use serde::{Deserialize, Serialize};

use crate::conversation::Conversation;
use crate::conversation::framed::Framed;
use crate::conversation::known::MessageId;
use crate::conversation::received::Receipt;
use crate::error::{Code, Error, Result};

/// Who else refuses the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StallCause {
    /// Perhaps nobody: the commit is against rules of this client, or cannot be opened here.
    Refused,
    /// Every client that follows RFC 9420: the group cannot have gone on with it.
    Invalid,
}

/// What a conversation is stalled by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stalled {
    /// Who else refuses the commit.
    pub why: StallCause,
    /// The epoch of the commit.
    pub epoch: u64,
    /// SHA-256 of the commit.
    pub message_id: MessageId,
    /// Why it was not applied, for people.
    pub reason: String,
}

/// A conversation that has stalled just now.
#[derive(Clone, Debug)]
pub struct StalledNow {
    /// The conversation.
    pub conversation_id: Vec<u8>,
    /// What by.
    pub stalled: Stalled,
}

impl Conversation<'_> {
    /// Remembers a commit that was not applied. One that is refused outweighs one that is invalid;
    /// otherwise the first counts.
    pub(crate) fn stall(
        &mut self,
        framed: &Framed<'_>,
        why: StallCause,
        reason: &str,
        receipt: &mut Receipt,
    ) -> Result<()> {
        let outweighed = match &self.row.stalled {
            None => true,
            Some(before) => before.why == StallCause::Invalid && why == StallCause::Refused,
        };
        if !outweighed {
            return Ok(());
        }
        let stalled = Stalled {
            why,
            epoch: framed.epoch,
            message_id: framed.message_id,
            reason: reason.to_owned(),
        };
        self.row.stalled = Some(stalled.clone());
        receipt.stalled.push(StalledNow {
            conversation_id: self.row.id.clone(),
            stalled,
        });
        self.store_row()
    }

    /// Fails with `CONVERSATION_STALLED` where others may have left the present epoch.
    pub(crate) fn refuse_when_stalled(&self) -> Result<()> {
        match &self.row.stalled {
            Some(stalled) if stalled.why == StallCause::Refused => Err(Error::new(
                Code::ConversationStalled,
                "A commit of a member was not applied here, and the others may have gone on with it: somebody may have been \
                 removed by it. Receive another commit of this epoch, join from outside, or ask to be invited again.",
            )
            .at_epoch(stalled.epoch)),
            _ => Ok(()),
        }
    }
}
