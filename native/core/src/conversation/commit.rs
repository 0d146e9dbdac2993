//! The life of an own commit: staged durably, sent by the caller, then merged, cleared or lost.

use std::time::{SystemTime, UNIX_EPOCH};

use openmls::prelude::{LeafNodeIndex, Proposal, ProposalOrRefType, QueuedProposal};
use openmls_traits::OpenMlsProvider;
use serde::{Deserialize, Serialize};
use tls_codec::Serialize as _;

use crate::codec::{decode, encode};
use crate::conversation::intent::{Intent, Invitee, Work};
use crate::conversation::known::{Fate, MessageId, message_id};
use crate::conversation::receive::{Receipt, Received};
use crate::conversation::{Conversation, State};
use crate::error::{Code, Error, Result};
use crate::keystore::Entity;
use crate::member::{Change, change_of_commit, identity};
use crate::session::Session;

/// What the caller of a commit asks for.
#[derive(Clone, Debug)]
pub enum Request {
    /// Add these clients.
    Add(Vec<Invitee>),
    /// Remove the members with these client ids.
    Remove(Vec<Vec<u8>>),
    /// Give this client new keys.
    Update,
    /// Commit whatever proposals are pending.
    PendingProposals,
    /// Build a lost commit again from its [`StagedCommit::intent`].
    Again(Vec<u8>),
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
    /// What the commit changed; empty unless merged now.
    pub change: Change,
    /// What waited for this commit.
    pub received: Vec<Received>,
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
    /// Builds a commit and stores it with everything that sending it takes. `None`: nothing is left to do.
    pub fn stage_commit(&mut self, id: &[u8], request: Request) -> Result<Option<StagedCommit>> {
        self.in_conversation(id, |conversation| {
            let (intent, first) = match request {
                Request::Add(invitees) => (Intent::Add(invitees), true),
                Request::Remove(client_ids) => (conversation.intend_removal(&client_ids)?, true),
                Request::Update => (Intent::Update, true),
                Request::PendingProposals => (Intent::PendingProposals, true),
                Request::Again(bytes) => (decode(&bytes)?, false),
            };
            let work = conversation.work_of(&intent, first)?;
            conversation.stage(&intent, work)
        })
    }

    /// The commit staged now.
    pub fn staged_commit(&mut self, id: &[u8]) -> Result<Option<StagedCommit>> {
        let (scope, _) = self.conversation_row(id)?;
        self.provider.read(Entity::StagedCommit, &scope, &[])
    }

    /// Counts one more send, before it happens; answers its number.
    pub fn count_attempt(&mut self, id: &[u8], commit_id: &MessageId) -> Result<u32> {
        self.in_conversation(id, |conversation| {
            let mut staged = conversation
                .staged_as(commit_id)?
                .ok_or_else(|| not_staged("sent again"))?;
            staged.attempts += 1;
            conversation.store_staged(&staged)?;
            Ok(staged.attempts)
        })
    }

    /// Remembers why a commit stays open. Does nothing when it is settled already.
    pub fn mark_unsettled(&mut self, id: &[u8], commit_id: &MessageId, why: Why) -> Result<()> {
        self.in_conversation(id, |conversation| match conversation.staged_as(commit_id)? {
            Some(mut staged) => {
                staged.why = why;
                conversation.store_staged(&staged)
            }
            None => Ok(()),
        })
    }

    /// All commits that are staged, in any conversation.
    pub fn unsettled_commits(&self) -> Result<Vec<StagedCommit>> {
        let rows = self.provider.rows().list_all(Entity::StagedCommit)?;
        rows.iter().map(|(_, _, value)| decode(value)).collect()
    }

    /// The delivery service accepted the commit: its epoch begins.
    pub fn merge_commit(&mut self, id: &[u8], commit_id: &MessageId) -> Result<Merged> {
        self.in_conversation(id, |conversation| {
            let Some(staged) = conversation.staged_as(commit_id)? else {
                let outcome = match conversation.fate_of_commit(commit_id)? {
                    Some(Fate::Merged) => MergeOutcome::Before,
                    _ => MergeOutcome::Lost,
                };
                let change = Change::default();
                return Ok(Merged {
                    outcome,
                    epoch: conversation.epoch(),
                    change,
                    received: Vec::new(),
                });
            };
            let change = conversation.merge_own(staged)?;
            let epoch = conversation.epoch();
            let mut receipt = Receipt::default();
            conversation.replay(&mut receipt)?;
            Ok(Merged {
                outcome: MergeOutcome::Merged,
                epoch,
                change,
                received: receipt.received,
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
                conversation.erase()?;
                return Ok(true);
            }
            conversation
                .group
                .clear_pending_commit(conversation.provider.storage())?;
            conversation.remember(&staged.commit_id, staged.epoch, Fate::Refused)?;
            conversation.forget_staged()?;
            Ok(true)
        })
    }
}

impl Conversation<'_> {
    /// Builds the commit of this work, with all proposals that are pending, and stages it.
    pub(crate) fn stage(&mut self, intent: &Intent, work: Work) -> Result<Option<StagedCommit>> {
        // OpenMLS' builder would silently replace a staged commit, which may be on its way.
        if self.staged()?.is_some() {
            return Err(Error::internal("a commit of this conversation is staged already"));
        }
        let welcome_to = self.welcome_to(&work.adds)?;
        let own_leaf = self.group.own_leaf_index();
        let proposals_only = work.adds.is_empty() && work.removes.is_empty() && !work.update;
        if proposals_only
            && !self
                .group
                .pending_proposals()
                .any(|queued| fits(queued, &work, own_leaf))
        {
            return Ok(None);
        }
        let credential = self.credential()?;
        let signer = credential.signer(self.provider)?;
        let build_failed = |cause: &dyn std::fmt::Display| {
            Error::invalid(format!("The commit cannot be built: {cause}. Nothing was changed."))
        };
        // Set also when empty: that of a failed attempt would be committed to.
        self.group.set_aad(Vec::new());
        let bundle = self
            .group
            .commit_builder()
            .consume_proposal_store(true)
            .force_self_update(true)
            .propose_adds(work.adds.iter().cloned())
            .propose_removals(work.removes.iter().copied())
            .load_psks(self.provider.storage())
            .map_err(|cause| build_failed(&cause))?
            .create_group_info(true)
            .use_ratchet_tree_extension(true)
            .build(self.provider.rand(), self.provider.crypto(), &signer, |queued| {
                fits(queued, &work, own_leaf)
            })
            .map_err(|cause| build_failed(&cause))?
            .stage_commit(self.provider)
            .map_err(|cause| build_failed(&cause))?;
        let unwritable = |cause: tls_codec::Error| Error::internal("the commit could not be written").caused_by(cause);
        let (commit, welcome, group_info) = bundle.into_messages();
        let commit = commit.tls_serialize_detached().map_err(unwritable)?;
        let welcome = welcome
            .map(|welcome| welcome.tls_serialize_detached())
            .transpose()
            .map_err(unwritable)?;
        let group_info = group_info
            .ok_or_else(|| Error::internal("a commit came without its GroupInfo"))?
            .tls_serialize_detached()
            .map_err(unwritable)?;
        let pending = self
            .group
            .pending_commit()
            .ok_or_else(|| Error::internal("the commit was not staged"))?;
        let staged = StagedCommit {
            conversation_id: self.row.id.clone(),
            epoch: self.epoch(),
            commit_id: message_id(&commit),
            commit,
            welcome: welcome.map(serde_bytes::ByteBuf::from),
            group_info,
            welcome_to,
            change: change_of_commit(&self.group, pending, Some(own_leaf)),
            intent: encode(intent)?.to_vec(),
            attempts: 1,
            since_ms: now_ms(),
            why: Why::Restart,
        };
        self.store_staged(&staged)?;
        self.remember(&staged.commit_id, staged.epoch, Fate::Sent)?;
        Ok(Some(staged))
    }

    /// The commit staged now.
    pub(crate) fn staged(&self) -> Result<Option<StagedCommit>> {
        self.provider.read(Entity::StagedCommit, &self.scope, &[])
    }

    /// The commit staged now, if it is this one.
    pub(crate) fn staged_as(&self, commit_id: &MessageId) -> Result<Option<StagedCommit>> {
        Ok(self.staged()?.filter(|staged| staged.commit_id == *commit_id))
    }

    fn store_staged(&self, staged: &StagedCommit) -> Result<()> {
        self.provider.write(Entity::StagedCommit, &self.scope, &[], staged)
    }

    pub(crate) fn forget_staged(&self) -> Result<()> {
        self.provider.rows().delete(Entity::StagedCommit, &self.scope, &[]);
        Ok(())
    }

    /// Merges the staged commit. The one place where an own commit makes an epoch.
    pub(crate) fn merge_own(&mut self, staged: StagedCommit) -> Result<Change> {
        self.keep_past_members(&staged.change)?;
        self.group
            .merge_pending_commit(self.provider)
            .map_err(|cause| Error::internal("the commit could not be merged").caused_by(cause))?;
        self.forget_staged()?;
        self.remember(&staged.commit_id, staged.epoch, Fate::Merged)?;
        self.row.state = State::Member;
        self.begin_epoch()?;
        Ok(staged.change)
    }

    /// What every new epoch brings, whoever committed.
    pub(crate) fn begin_epoch(&mut self) -> Result<()> {
        self.store_row()?;
        self.prune_known()?;
        self.prune_past_members()?;
        self.prune_generations()
    }
}

/// Whether a proposal can be part of this commit. Its own by value always; of the pending ones not all: a committer cannot remove itself, and what the commit itself does
/// need not be done twice.
fn fits(queued: &QueuedProposal, work: &Work, own_leaf: LeafNodeIndex) -> bool {
    if queued.proposal_or_ref_type() == ProposalOrRefType::Proposal {
        return true;
    }
    match queued.proposal() {
        Proposal::Remove(remove) => remove.removed() != own_leaf && !work.removes.contains(&remove.removed()),
        Proposal::Add(add) => {
            let leaf = add.key_package().leaf_node();
            !work.adds.iter().any(|package| {
                package.leaf_node().signature_key() == leaf.signature_key()
                    || identity(package.leaf_node().credential()) == identity(leaf.credential())
            })
        }
        _ => true,
    }
}

fn not_staged(what: &str) -> Error {
    Error::new(
        Code::StateDiverged,
        format!("A commit that is to be {what} is settled already."),
    )
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
