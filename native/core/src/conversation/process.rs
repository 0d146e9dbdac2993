//! Processing: what OpenMLS makes of a message, and what that changes.

use openmls::prelude::{ContentType, ProcessedMessage, ProcessedMessageContent, QueuedProposal, Sender, StagedCommit};
use openmls_traits::OpenMlsProvider;

use crate::conversation::Conversation;
use crate::conversation::framed::Framed;
use crate::conversation::known::Fate;
use crate::conversation::policy::{Verdict, verdict};
use crate::conversation::received::{Receipt, What};
use crate::error::{Code, Error, Result};
use crate::member::{Member, change_of_commit, change_of_external_commit, change_of_proposals, member_at, members};
use crate::storage::Changes;

impl Conversation<'_> {
    /// Has OpenMLS process a message, and applies it. What is refused leaves no trace.
    pub(crate) fn process(&mut self, framed: &Framed, receipt: &mut Receipt) -> Result<Verdict> {
        let savepoint = self.provider.rows().savepoint();
        let changes = match framed.epoch {
            epoch if epoch < self.epoch() => Changes::Past(epoch),
            _ if framed.content == ContentType::Application => Changes::Message,
            _ => Changes::Present,
        };
        let processed = self.provider.changing(changes, || {
            self.group.process_message(self.provider, framed.message.clone())
        });
        let verdict = match processed {
            Ok(processed) => self.apply(framed, processed, receipt)?,
            Err(cause) => verdict(cause),
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
        Ok(verdict)
    }

    /// Applies a message that is cryptographically good, unless policy refuses it.
    fn apply(&mut self, framed: &Framed, processed: ProcessedMessage, receipt: &mut Receipt) -> Result<Verdict> {
        let sender = processed.sender().clone();
        let aad = processed.aad().to_vec();
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => {
                let sender = match sender {
                    Sender::Member(leaf) => self.member_in_epoch(leaf, framed.epoch)?,
                    _ => None,
                };
                let sender = sender.ok_or_else(|| Error::internal("a message came from nobody"))?;
                Ok(Verdict::Received(What::Message {
                    sender,
                    plaintext: message.into_bytes(),
                    aad,
                }))
            }
            ProcessedMessageContent::ProposalMessage(proposal) if matches!(sender, Sender::Member(_)) => {
                self.apply_proposal(framed, *proposal, &sender)
            }
            ProcessedMessageContent::ProposalMessage(_) | ProcessedMessageContent::ExternalJoinProposalMessage(_) => {
                let reason = "A proposal came from outside the conversation, which does not accept such.";
                Ok(Verdict::Refused(Code::MessageInvalid, reason))
            }
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                self.apply_commit(framed, *commit, &sender, receipt)
            }
            ProcessedMessageContent::OwnPendingCommit | ProcessedMessageContent::OwnPrivateMessage { .. } => {
                let reason = "The message claims to come from this client, which did not send it.";
                Ok(Verdict::Refused(Code::MessageInvalid, reason))
            }
        }
    }

    /// Keeps a proposal until a commit names it.
    fn apply_proposal(&mut self, framed: &Framed, proposal: QueuedProposal, sender: &Sender) -> Result<Verdict> {
        if let Some(refusal) = self.refuses_to_keep(&proposal) {
            return Ok(refusal);
        }
        let change = change_of_proposals(&self.group, std::iter::once(&proposal));
        let by = self.sender_now(sender);
        self.group.store_pending_proposal(self.provider.storage(), proposal)?;
        self.remember(&framed.message_id, framed.epoch, Fate::Processed)?;
        Ok(Verdict::Received(What::Proposal {
            by,
            change,
            commit_after_ms: self.commit_after_ms(),
        }))
    }

    /// Merges the commit of another member, or of somebody who joins from outside.
    fn apply_commit(
        &mut self,
        framed: &Framed,
        commit: StagedCommit,
        sender: &Sender,
        receipt: &mut Receipt,
    ) -> Result<Verdict> {
        if let Some(refusal) = self.refuses_commit(&commit, sender) {
            return Ok(refusal);
        }
        let change = match sender {
            Sender::Member(leaf) => change_of_commit(&self.group, &commit, *leaf),
            _ => change_of_external_commit(&self.group, &commit)?,
        };
        let by = self.sender_now(sender);
        let active = !commit.self_removed();
        self.lose_staged(receipt)?;
        self.keep_past_members(&change)?;
        self.provider
            .changing(Changes::Present, || {
                self.group.merge_staged_commit(self.provider, commit)
            })
            .map_err(|cause| Error::internal("a commit could not be merged").caused_by(cause))?;
        if active {
            self.remember(&framed.message_id, framed.epoch, Fate::Processed)?;
            self.begin_epoch()?;
        } else {
            self.bury(framed.epoch)?;
        }
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
