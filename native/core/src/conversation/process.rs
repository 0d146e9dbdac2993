//! Processing: what OpenMLS makes of a message, and what that changes.

use openmls::prelude::{
    ContentType, LeafNodeIndex, ProcessMessageError, ProcessedMessage, ProcessedMessageContent, QueuedProposal, Sender,
    StageCommitError, StagedCommit,
};
use openmls_traits::OpenMlsProvider;

use crate::conversation::Conversation;
use crate::conversation::external_join::is_open;
use crate::conversation::framed::{Framed, NO_MESSAGE};
use crate::conversation::known::Fate;
use crate::conversation::received::{Receipt, What};
use crate::conversation::seen::Origin;
use crate::conversation::verdict::{Verdict, verdict};
use crate::error::{Code, Error, Result};
use crate::member::{Member, change_of_commit, change_of_external_commit, change_of_proposals, member_at, members};
use crate::storage::Changes;

type Processed = std::result::Result<ProcessedMessage, ProcessMessageError<Error>>;

impl Conversation<'_> {
    /// Has OpenMLS process a message, and applies it. What is refused leaves no trace, but for a
    /// proposal that a commit may name.
    pub(crate) fn process(&mut self, framed: &Framed<'_>, receipt: &mut Receipt) -> Result<Verdict> {
        let savepoint = self.provider.rows().savepoint();
        let Some(attempt) = self.process_by_openmls(framed)? else {
            return Ok(Verdict::Refused(Code::MessageInvalid, NO_MESSAGE));
        };
        let verdict = match attempt {
            Ok(processed) => self.apply(framed, processed, receipt)?,
            Err(cause) => verdict(framed, cause, is_open(&self.group)),
        };
        // An attempt that wrote nothing left the group as it was; any other is taken back with everything it touched.
        let kept = matches!(
            verdict,
            Verdict::Received(What::Message { .. } | What::Commit { .. } | What::Proposal { .. })
        );
        if !kept && self.provider.rows().writes_since(savepoint) > 0 {
            self.provider.rows().rollback_to(savepoint);
            self.reload()?;
        }
        match verdict {
            Verdict::SetAside(proposal, reason) => {
                self.set_aside(&proposal)?;
                Ok(Verdict::Refused(Code::MessageInvalid, reason))
            }
            Verdict::LeftOut(reason) => {
                self.note_left_out();
                Ok(Verdict::Refused(Code::MessageInvalid, reason))
            }
            verdict => Ok(verdict),
        }
    }

    /// A commit that names proposals which were refused is processed with them, to be judged as a
    /// whole. `None` for what OpenMLS cannot decode.
    fn process_by_openmls(&mut self, framed: &Framed<'_>) -> Result<Option<Processed>> {
        let first = self.attempt(framed);
        match first {
            Some(Err(ProcessMessageError::InvalidCommit(StageCommitError::MissingProposal { .. })))
                if self.take_up_what_was_set_aside()? =>
            {
                Ok(self.attempt(framed))
            }
            first => Ok(first),
        }
    }

    fn attempt(&mut self, framed: &Framed<'_>) -> Option<Processed> {
        let message = framed.message()?;
        let changes = match framed.epoch {
            epoch if epoch < self.epoch() => Changes::Past(epoch),
            _ if framed.content == ContentType::Application => Changes::Message,
            _ => Changes::Present,
        };
        let processed = self
            .provider
            .changing(changes, || self.group.process_message(self.provider, message));
        Some(processed)
    }

    /// Applies a message that is cryptographically good, unless policy refuses it.
    fn apply(&mut self, framed: &Framed<'_>, processed: ProcessedMessage, receipt: &mut Receipt) -> Result<Verdict> {
        let sender = processed.sender().clone();
        let aad = processed.aad().to_vec();
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => {
                let sender = match sender {
                    Sender::Member(leaf) => self.member_in_epoch(leaf, framed.epoch)?,
                    _ => None,
                };
                let sender = sender.ok_or_else(|| Error::internal("a message came from nobody"))?;
                self.see(&framed.message_id, Origin::Other)?;
                Ok(Verdict::Received(What::Message {
                    sender,
                    plaintext: message.into_bytes(),
                    aad,
                }))
            }
            ProcessedMessageContent::ProposalMessage(proposal)
            | ProcessedMessageContent::ExternalJoinProposalMessage(proposal) => {
                self.apply_proposal(framed, proposal, &sender)
            }
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                self.apply_commit(framed, *commit, &sender, receipt)
            }
            ProcessedMessageContent::OwnPendingCommit => Ok(Verdict::Refused(
                Code::MessageInvalid,
                "The message claims to come from this client, which did not send it.",
            )),
            ProcessedMessageContent::OwnPrivateMessage { generation } => Ok(Verdict::Own(generation)),
        }
    }

    /// Keeps a proposal until a commit names it.
    fn apply_proposal(
        &mut self,
        framed: &Framed<'_>,
        proposal: Box<QueuedProposal>,
        sender: &Sender,
    ) -> Result<Verdict> {
        if let Some(reason) = self.refuses_to_keep(&proposal) {
            return Ok(Verdict::SetAside(proposal, reason));
        }
        let change = change_of_proposals(&self.group, std::iter::once(&*proposal));
        let by = self.sender_now(sender);
        self.group.store_pending_proposal(self.provider.storage(), *proposal)?;
        self.remember(&framed.message_id, Fate::Processed)?;
        Ok(Verdict::Received(What::Proposal {
            by,
            change,
            commit_after_ms: self.commit_after_ms(),
        }))
    }

    /// Merges the commit of another member, or of a client that joins from outside.
    fn apply_commit(
        &mut self,
        framed: &Framed<'_>,
        commit: StagedCommit,
        sender: &Sender,
        receipt: &mut Receipt,
    ) -> Result<Verdict> {
        if let Some(refusal) = self.refuses_commit(&commit, sender) {
            return Ok(refusal);
        }
        let (change, leaf) = match sender {
            Sender::Member(leaf) => (change_of_commit(&self.group, &commit, *leaf), *leaf),
            _ => {
                let change = change_of_external_commit(&self.group, &commit)?;
                let leaf = change.added.last().map_or(0, |joiner| joiner.leaf_index);
                (change, LeafNodeIndex::new(leaf))
            }
        };
        let by = self.sender_now(sender);
        let active = !commit.self_removed();
        let told = receipt.settled.len();
        self.lose_staged(receipt)?;
        self.keep_past_members(&change)?;
        self.provider
            .changing(Changes::Present, || {
                self.group.merge_staged_commit(self.provider, commit)
            })
            .map_err(|cause| Error::internal("a commit could not be merged").caused_by(cause))?;
        if active {
            if let Some(refusal) = self.refuses_new_path(leaf, sender) {
                receipt.settled.truncate(told);
                return Ok(refusal);
            }
            self.remember(&framed.message_id, Fate::Processed)?;
            self.begin_epoch()?;
        } else {
            self.bury(framed.epoch)?;
        }
        self.lose_join(framed.epoch + 1, receipt)?;
        Ok(Verdict::Received(What::Commit {
            by,
            own: false,
            change,
            active,
        }))
    }

    fn sender_now(&self, sender: &Sender) -> Option<Member> {
        match sender {
            Sender::Member(leaf) => member_at(&self.group, *leaf),
            _ => None,
        }
    }

    /// Members take turns, another one first in every epoch.
    fn commit_after_ms(&self) -> u32 {
        const STEP: u64 = 500;
        const MOST: u64 = 60_000;
        let members = members(&self.group);
        let own = self.group.own_leaf_index().u32();
        let count = members.len().max(1) as u64;
        let rank = members.iter().position(|member| member.leaf_index == own).unwrap_or(0) as u64;
        let turn = (rank + count - self.epoch() % count) % count;
        u32::try_from((turn * STEP).min(MOST)).unwrap_or(u32::MAX)
    }
}
