//! What receiving answers: one entry for each thing that came of it.

use serde::{Deserialize, Serialize};

use crate::conversation::commit::Settled;
use crate::conversation::known::MessageId;
use crate::conversation::stalled::StalledNow;
use crate::error::Code;
use crate::member::{Change, Member};

/// One thing that came of receiving.
#[derive(Clone, Debug)]
pub struct Received {
    /// SHA-256 of the message.
    pub message_id: MessageId,
    /// The conversation, where the message names one that counts.
    pub conversation_id: Option<Vec<u8>>,
    /// The epoch of the message.
    pub epoch: u64,
    /// What it was.
    pub what: What,
}

/// What a received message was.
#[derive(Clone, Debug)]
pub enum What {
    /// A Welcome; it is not joined yet.
    Welcome,
    /// Tampered, forged or against policy. It left no trace, but for a commit that a member has signed: then the
    /// conversation is stalled.
    Rejected(Code, &'static str),
    /// An application message.
    Message {
        /// Who sent it, as it was in the message's epoch.
        sender: Member,
        /// What was sent.
        plaintext: Vec<u8>,
        /// What was sent along authenticated but not encrypted.
        aad: Vec<u8>,
    },
    /// A commit, merged.
    Commit {
        /// Who committed; `None` for somebody from outside.
        by: Option<Member>,
        /// Whether it is this client's own, come back.
        own: bool,
        /// What it changed.
        change: Change,
        /// False when it removed this client.
        active: bool,
    },
    /// A proposal, which waits for a commit.
    Proposal {
        /// Who proposes; `None` for somebody from outside.
        by: Option<Member>,
        /// What it would change.
        change: Change,
        /// When this client should commit it unless another member did, so that not all do at once.
        commit_after_ms: u32,
    },
    /// Kept until something else arrives.
    Waiting {
        /// What it waits for.
        on: WaitingFor,
        /// When it came, in milliseconds since 1970.
        since_ms: u64,
        /// How many messages of this conversation wait now.
        count: usize,
    },
    /// Nothing was lost.
    Ignored(Ignored),
    /// Lost for good.
    Unreadable(Unreadable),
}

/// What a kept message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitingFor {
    /// The commit that begins its epoch.
    Commit,
    /// A proposal that it commits.
    Proposal,
    /// The Welcome of its conversation.
    Welcome,
}

/// Why a message was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It was received before.
    Duplicate,
    /// This client sent it.
    Own,
    /// A proposal or commit of an epoch gone by.
    StaleHandshake,
}

/// Why a message can never be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The keys of its epoch are deleted.
    EpochTooOld,
    /// Its sender had sent too many others before or after it.
    OutsideWindow,
    /// It was sent when this client was not a member any more.
    Removed,
    /// It waited, and there was no room for it.
    Evicted,
}

/// What came of a batch.
#[derive(Clone, Debug, Default)]
pub struct Receipt {
    /// In display order.
    pub received: Vec<Received>,
    /// Own commits whose fate was learnt.
    pub settled: Vec<Settled>,
    /// Conversations that have stalled by what was received.
    pub stalled: Vec<StalledNow>,
    /// Nobody takes application messages now: those that wait go on waiting, until somebody receives who does.
    pub(crate) handshakes_only: bool,
    /// What comes is read from the server's log, and part of it perhaps for the second time.
    pub(crate) from_log: bool,
}

/// How much a receipt has had.
#[derive(Clone, Copy)]
pub(crate) struct Lengths(usize, usize, usize);

impl Receipt {
    pub(crate) fn lengths(&self) -> Lengths {
        Lengths(self.received.len(), self.settled.len(), self.stalled.len())
    }

    /// Takes back what came since.
    pub(crate) fn truncate(&mut self, to: Lengths) {
        self.received.truncate(to.0);
        self.settled.truncate(to.1);
        self.stalled.truncate(to.2);
    }

    pub(crate) fn new(handshakes_only: bool) -> Receipt {
        Receipt {
            handshakes_only,
            ..Receipt::default()
        }
    }
}
