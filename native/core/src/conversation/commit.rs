//! The life of an own commit: staged durably, sent by the caller, then merged, cleared or lost.

use openmls_traits::OpenMlsProvider;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::codec::decode;
use crate::conversation::external_join::{JOIN, PendingJoin};
use crate::conversation::intent::{Invitee, LeafName};
use crate::conversation::known::{Fate, MessageId};
use crate::conversation::received::{Receipt, Received};
use crate::conversation::stalled::StalledNow;
use crate::conversation::{State, scope_of};
use crate::error::{Code, Error, Result};
use crate::keystore::Entity;
use crate::member::Change;
use crate::session::Session;

/// What the caller of a commit asks for. All of it goes into one commit, together with the pending proposals that fit.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Add these clients.
    pub add: Vec<Invitee>,
    /// Remove these leaves.
    pub remove: Vec<LeafName>,
    /// Give this client the credential with this reference, and with it another signature key.
    pub credential: Option<Vec<u8>>,
    /// Give this client new keys, also where nothing else is left to do.
    pub update: bool,
    /// Commit the pending proposals, also where nothing else is left to do.
    pub pending: bool,
}

impl Request {
    /// Add these clients, and nothing else.
    pub fn add(invitees: Vec<Invitee>) -> Request {
        Request {
            add: invitees,
            ..Request::default()
        }
    }

    /// Remove these leaves, and nothing else.
    pub fn remove(leaves: Vec<LeafName>) -> Request {
        Request {
            remove: leaves,
            ..Request::default()
        }
    }

    /// Take this credential, and nothing else.
    pub fn credential(reference: Vec<u8>) -> Request {
        Request {
            credential: Some(reference),
            ..Request::default()
        }
    }

    /// New keys, and nothing else.
    pub fn update() -> Request {
        Request {
            update: true,
            ..Request::default()
        }
    }

    /// The pending proposals, and nothing else.
    pub fn pending() -> Request {
        Request {
            pending: true,
            ..Request::default()
        }
    }
}

/// Why a commit is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// The process ended before an answer came; also the state of a commit that is being sent right now.
    Restart,
    /// The transport threw, timed out or answered nonsense.
    Unknown,
    /// The delivery service said "retry" too often.
    Exhausted,
}

/// A commit that is stored and waits for its outcome: everything needed to send it, again and again the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StagedCommit {
    /// The conversation.
    #[serde(with = "serde_bytes")]
    pub conversation_id: Vec<u8>,
    /// The epoch it is for; accepted, it makes the next one.
    pub epoch: u64,
    /// SHA-256 of the commit.
    pub commit_id: MessageId,
    /// The commit, an MLSMessage.
    #[serde(with = "serde_bytes")]
    pub commit: Vec<u8>,
    /// The Welcome of new members, an MLSMessage.
    pub welcome: Option<serde_bytes::ByteBuf>,
    /// The GroupInfo of the epoch that the commit makes, an MLSMessage.
    #[serde(with = "serde_bytes")]
    pub group_info: Vec<u8>,
    /// Client id and KeyPackageRef of everybody whom the Welcome is for.
    pub welcome_to: Vec<(Vec<u8>, Vec<u8>)>,
    /// The reference of the credential that its committer takes with it, if it takes another one.
    pub credential: Option<serde_bytes::ByteBuf>,
    /// What the commit changes.
    pub change: Change,
    /// What was asked for, encoded.
    #[serde(with = "serde_bytes")]
    pub intent: Vec<u8>,
    /// How many sends were counted.
    pub attempts: u32,
    /// When it was staged, in milliseconds since 1970.
    pub since_ms: u64,
    /// Why it is open.
    pub why: Why,
}

/// How [`Session::merge_commit`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeOutcome {
    /// Merged now.
    Merged,
    /// Merged before, by its own echo.
    Before,
    /// Another commit of its epoch was merged.
    Lost,
}

/// A merge and what it released.
#[derive(Clone, Debug)]
pub struct Merged {
    /// How it ended.
    pub outcome: MergeOutcome,
    /// The present epoch.
    pub epoch: u64,
    /// The commit itself, if it was merged now, and what waited for it.
    pub received: Vec<Received>,
    /// Another own commit that was open and has no place any more.
    pub settled: Vec<Settled>,
    /// The conversation, if what it released has stalled it.
    pub stalled: Vec<StalledNow>,
}

impl Merged {
    /// A commit that was settled before, one way or the other.
    pub(crate) fn earlier(outcome: MergeOutcome, epoch: u64) -> Merged {
        Merged {
            outcome,
            epoch,
            received: Vec::new(),
            settled: Vec::new(),
            stalled: Vec::new(),
        }
    }
}

/// An own commit whose fate was learnt while receiving.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The conversation.
    pub conversation_id: Vec<u8>,
    /// SHA-256 of the commit.
    pub commit_id: MessageId,
    /// Whether it was merged; otherwise it was lost.
    pub merged: bool,
    /// What it would have changed, or did.
    pub change: Change,
}

impl Session {
    /// Builds a commit and stores it with everything that sending it takes. `None`: nothing is left to do. Fails with
    /// `CONVERSATION_STALLED` where others may have left the present epoch.
    pub fn stage_commit(&mut self, id: &[u8], request: Request) -> Result<Option<StagedCommit>> {
        self.in_conversation(id, |conversation| {
            conversation.refuse_when_stalled()?;
            let intent = conversation.intend(request)?;
            conversation.stage_what_is_left(&intent, true)
        })
    }

    /// Builds a lost commit again, from its [`StagedCommit::intent`]; like [`stage_commit`](Session::stage_commit).
    pub fn restage_commit(&mut self, id: &[u8], intent: &[u8]) -> Result<Option<StagedCommit>> {
        self.in_conversation(id, |conversation| {
            conversation.refuse_when_stalled()?;
            conversation.stage_what_is_left(&decode(intent)?, false)
        })
    }

    /// The commit staged now.
    pub fn staged_commit(&mut self, id: &[u8]) -> Result<Option<StagedCommit>> {
        let (scope, _) = self.conversation_row(id)?;
        self.provider.read(Entity::StagedCommit, &scope, &[])
    }

    /// Counts one more send, before it happens; answers its number.
    pub fn count_attempt(&mut self, id: &[u8], commit_id: &MessageId) -> Result<u32> {
        if let Some(staged) = self.change_staged(id, commit_id, |staged| staged.attempts += 1)? {
            return Ok(staged.attempts);
        }
        self.conversation_row(id)?; // Wiped meanwhile: its commit has gone with it.
        Err(Error::new(
            Code::StateDiverged,
            "A commit that is to be sent again is settled already.",
        ))
    }

    /// Remembers why a commit stays open. Does nothing when it is settled already.
    pub fn mark_unsettled(&mut self, id: &[u8], commit_id: &MessageId, why: Why) -> Result<()> {
        self.change_staged(id, commit_id, |staged| staged.why = why).map(drop)
    }

    /// Changes what is noted about an open commit, be it of a member or of somebody who joins.
    fn change_staged(
        &mut self,
        id: &[u8],
        commit_id: &MessageId,
        change: impl FnOnce(&mut StagedCommit),
    ) -> Result<Option<StagedCommit>> {
        let scope = scope_of(id)?;
        if let Some(mut pending) = self.pending_join_by(&scope, commit_id)? {
            change(&mut pending.staged);
            self.store_join(&scope, &pending)?;
            return Ok(Some(pending.staged));
        }
        let staged: Option<StagedCommit> = self.provider.read(Entity::StagedCommit, &scope, &[])?;
        let Some(mut staged) = staged.filter(|staged| staged.commit_id == *commit_id) else {
            return Ok(None);
        };
        change(&mut staged);
        self.provider.write(Entity::StagedCommit, &scope, &[], &staged)?;
        Ok(Some(staged))
    }

    /// All commits that are staged, in any conversation, and all external commits that are pending.
    /// Those of a conversation that is damaged are left out: nothing can be made of them.
    pub fn unsettled_commits(&self) -> Result<Vec<StagedCommit>> {
        let staged = self.read_all(Entity::StagedCommit, &[])?;
        let joins: Vec<PendingJoin> = self.read_all(Entity::PendingJoin, JOIN)?;
        Ok(staged
            .into_iter()
            .chain(joins.into_iter().map(|join| join.staged))
            .collect())
    }

    /// The rows with this kind and key of all conversations, but for those that are damaged.
    pub(crate) fn read_all<T: DeserializeOwned>(&self, entity: Entity, key: &[u8]) -> Result<Vec<T>> {
        let mut all = Vec::new();
        for (scope, found) in self.provider.rows().keys_of_all(entity)? {
            if found != key {
                continue;
            }
            match self.provider.read(entity, &scope, key) {
                Ok(row) => all.extend(row),
                Err(error) if error.code() == Code::ConversationCorrupt => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// The delivery service accepted the commit: its epoch begins. Answers the commit as if it had been received. With
    /// `handshakes_only` messages that waited for it go on waiting for the next [`Session::receive`].
    pub fn merge_commit(&mut self, id: &[u8], commit_id: &MessageId, handshakes_only: bool) -> Result<Merged> {
        self.in_conversation(id, |conversation| {
            let Some(staged) = conversation.staged_as(commit_id)? else {
                let outcome = match conversation.fate(commit_id)? {
                    Some(Fate::Merged) => MergeOutcome::Before,
                    _ => MergeOutcome::Lost,
                };
                return Ok(Merged::earlier(outcome, conversation.epoch()));
            };
            let mut receipt = Receipt::new(handshakes_only);
            let own = Received {
                message_id: staged.commit_id,
                conversation_id: Some(staged.conversation_id.clone()),
                epoch: staged.epoch,
                what: conversation.merge_accepted(staged, &mut receipt)?,
            };
            receipt.received.push(own);
            conversation.replay(&mut receipt)?;
            Ok(Merged {
                outcome: MergeOutcome::Merged,
                epoch: conversation.epoch(),
                received: receipt.received,
                settled: receipt.settled,
                stalled: receipt.stalled,
            })
        })
    }

    /// The delivery service refused the commit for good: the conversation is as before it. A founding commit takes its
    /// conversation along. Answers false, and does nothing, when the commit was settled before.
    pub fn clear_commit(&mut self, id: &[u8], commit_id: &MessageId) -> Result<bool> {
        self.in_conversation(id, |conversation| {
            let Some(staged) = conversation.staged_as(commit_id)? else {
                return Ok(false);
            };
            if conversation.row.state == State::Founding {
                conversation.undo_founding()?;
                return Ok(true);
            }
            conversation
                .group
                .clear_pending_commit(conversation.provider.storage())?;
            conversation.remember(&staged.commit_id, Fate::Refused)?;
            conversation.forget_staged()?;
            Ok(true)
        })
    }
}
