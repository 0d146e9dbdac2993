//! Receiving: every message from outside comes in here, and ordinary life is never an error.
//!
//! What is rejected leaves no trace. What cannot be judged yet waits in the buffer (`buffer.rs`).

use openmls::prelude::{ContentType, ProcessedMessage, ProcessedMessageContent, Sender};
use openmls_traits::OpenMlsProvider;

use crate::conversation::commit::{Settled, StagedCommit};
use crate::conversation::external_join::PendingJoin;
use crate::conversation::framed::{Framed, frame};
use crate::conversation::known::{Fate, known, message_id};
use crate::conversation::policy::{Verdict, verdict};
use crate::conversation::received::{Ignored, Receipt, Received, Unreadable, WaitingFor, What};
use crate::conversation::{Conversation, State, scope_of};
use crate::error::{Code, Error, Result};
use crate::member::{Member, change_of_commit, change_of_external_commit, change_of_proposals, member_at, members};
use crate::session::Session;
use crate::storage::Changes;

/// How to receive.
#[derive(Clone, Debug, Default)]
pub struct ReceiveOptions {
    /// Leave application messages alone, and answer nothing for them.
    pub handshakes_only: bool,
    /// Read again from the server's log: what cannot be read any more was received in its time, and is not told to be lost.
    pub from_log: bool,
    /// Fail with `WRONG_CONVERSATION` for any other conversation's message.
    pub only: Option<Vec<u8>>,
}

impl Session {
    /// Receives a batch in order. An error means that nothing of it was received.
    pub fn receive(&mut self, messages: &[Vec<u8>], options: &ReceiveOptions) -> Result<Receipt> {
        let mut receipt = Receipt::new(options.handshakes_only);
        receipt.from_log = options.from_log;
        for bytes in messages {
            self.receive_one(bytes, options, &mut receipt)?;
        }
        Ok(receipt)
    }

    fn receive_one(&mut self, bytes: &[u8], options: &ReceiveOptions, receipt: &mut Receipt) -> Result<()> {
        let message_id = message_id(bytes);
        let of_no_conversation = |what| Received {
            message_id,
            conversation_id: None,
            epoch: 0,
            what,
        };
        let framed = match frame(bytes) {
            Ok(Some(framed)) => framed,
            Ok(None) => {
                receipt.received.push(of_no_conversation(What::Welcome));
                return Ok(());
            }
            Err(reason) => {
                let what = What::Rejected(Code::MessageInvalid, reason);
                receipt.received.push(of_no_conversation(what));
                return Ok(());
            }
        };
        if options
            .only
            .as_ref()
            .is_some_and(|only| *only != framed.conversation_id)
        {
            return Err(Error::new(
                Code::WrongConversation,
                "The message belongs to another conversation. Give it to session.receive(), which finds the right one.",
            ));
        }
        if options.handshakes_only && framed.content == ContentType::Application {
            return Ok(());
        }
        let scope = scope_of(&framed.conversation_id)?;
        if let Some(pending) = self
            .pending_join(&scope)?
            .filter(|join| join.staged.commit_id == framed.message_id)
        {
            return self.receive_own_join(scope, pending, &framed, receipt);
        }
        let row = self.find_row(&scope)?;
        let removed_at = row
            .as_ref()
            .filter(|row| row.state == State::Removed)
            .map(|row| row.last);
        match (&row, removed_at) {
            // The epoch after the last one began with our removal: no later Welcome can open it.
            (_, Some(last)) if framed.epoch <= last + 1 => {
                let fate = known(&self.provider, &scope, framed.epoch, &framed.message_id)?;
                let what = match framed.content {
                    ContentType::Application if fate == Some(Fate::Sent) => What::Ignored(Ignored::Own),
                    ContentType::Application => What::Unreadable(Unreadable::Removed),
                    _ => What::Ignored(Ignored::StaleHandshake),
                };
                receipt.received.push(framed.answer(what));
                Ok(())
            }
            (None, _) | (_, Some(_)) => self.wait_for_welcome(&scope, framed, bytes, receipt),
            (Some(row), None) => {
                let id = row.id.clone();
                self.in_conversation(&id, |conversation| conversation.receive(framed, bytes, receipt))
            }
        }
    }
}

impl Session {
    /// The own external commit came back before the transport's answer: it is accepted.
    fn receive_own_join(
        &mut self,
        scope: Vec<u8>,
        pending: PendingJoin,
        framed: &Framed,
        receipt: &mut Receipt,
    ) -> Result<()> {
        let place = receipt.received.len();
        let asked_for = pending.staged.change.clone();
        let what = What::Commit {
            by: None,
            own: true,
            change: self.adopt_join(scope, pending, receipt)?,
            active: true,
        };
        receipt.received.insert(place, framed.answer(what));
        let (conversation_id, commit_id) = (framed.conversation_id.clone(), framed.message_id);
        receipt.settled.push(Settled {
            conversation_id,
            commit_id,
            merged: true,
            change: asked_for,
        });
        Ok(())
    }
}

impl Conversation<'_> {
    /// Receives one message and what it releases.
    fn receive(&mut self, framed: Framed, bytes: &[u8], receipt: &mut Receipt) -> Result<()> {
        let before = (self.epoch(), self.group.pending_proposals().count());
        let received = match self.judge(&framed, receipt)? {
            Verdict::Wait(on) => self.wait(&framed, bytes, on, receipt)?,
            verdict => framed.answer(verdict.into_what()?),
        };
        if receipt.from_log
            && matches!(
                received.what,
                What::Unreadable(Unreadable::EpochTooOld | Unreadable::OutsideWindow)
            )
        {
            return Ok(());
        }
        receipt.received.push(received);
        if self.row.state == State::Removed {
            return self.evict_closed(receipt);
        }
        let released = self.row.held && !receipt.handshakes_only;
        if released || before != (self.epoch(), self.group.pending_proposals().count()) {
            self.replay(receipt)?;
        }
        Ok(())
    }

    /// What a message is: known, early, late, or to be processed now.
    pub(crate) fn judge(&mut self, framed: &Framed, receipt: &mut Receipt) -> Result<Verdict> {
        if let Some(fate) = self.fate(&framed.message_id, framed.epoch)? {
            return self.judge_known(framed, fate, receipt);
        }
        let handshake = framed.content != ContentType::Application;
        Ok(match framed.epoch {
            epoch if epoch > self.epoch() => Verdict::Wait(WaitingFor::Commit),
            epoch if handshake && epoch < self.epoch() => Verdict::Received(What::Ignored(Ignored::StaleHandshake)),
            epoch if epoch < self.oldest_readable() => Verdict::Received(What::Unreadable(Unreadable::EpochTooOld)),
            _ => self.process(framed, receipt)?,
        })
    }

    fn judge_known(&mut self, framed: &Framed, fate: Fate, receipt: &mut Receipt) -> Result<Verdict> {
        let contradiction = |reason| Verdict::Refused(Code::StateDiverged, reason);
        Ok(match fate {
            Fate::Sent => match self.staged_as(&framed.message_id)? {
                Some(staged) => Verdict::Received(self.merge_echo(staged, receipt)?),
                None => Verdict::Received(What::Ignored(Ignored::Own)),
            },
            Fate::Merged => Verdict::Received(What::Ignored(Ignored::Own)),
            Fate::Processed => Verdict::Received(What::Ignored(Ignored::Duplicate)),
            Fate::Lost => {
                contradiction("The server delivers a commit of this client although it accepted another of that epoch.")
            }
            Fate::Refused => contradiction("The server delivers a commit of this client that it had refused for good."),
        })
    }

    /// The own commit came back before the transport's answer: it is accepted.
    fn merge_echo(&mut self, staged: StagedCommit, receipt: &mut Receipt) -> Result<What> {
        let by = member_at(&self.group, self.group.own_leaf_index());
        let commit_id = staged.commit_id;
        let change = self.merge_own(staged)?;
        let conversation_id = self.row.id.clone();
        receipt.settled.push(Settled {
            conversation_id,
            commit_id,
            merged: true,
            change: change.clone(),
        });
        Ok(What::Commit {
            by,
            own: true,
            change,
            active: true,
        })
    }

    fn process(&mut self, framed: &Framed, receipt: &mut Receipt) -> Result<Verdict> {
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
            ProcessedMessageContent::ProposalMessage(proposal) => {
                if let Some(refusal) = self.refuses_to_keep(&proposal) {
                    return Ok(refusal);
                }
                let change = change_of_proposals(&self.group, std::iter::once(&*proposal));
                let by = self.sender_now(&sender);
                self.group.store_pending_proposal(self.provider.storage(), *proposal)?;
                self.remember(&framed.message_id, framed.epoch, Fate::Processed)?;
                Ok(Verdict::Received(What::Proposal {
                    by,
                    change,
                    commit_after_ms: self.commit_after_ms(),
                }))
            }
            ProcessedMessageContent::ExternalJoinProposalMessage(_) => {
                let reason = "A proposal came from outside the conversation, which does not accept such.";
                Ok(Verdict::Refused(Code::MessageInvalid, reason))
            }
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                if let Some(refusal) = self.refuses_commit(&commit, &sender) {
                    return Ok(refusal);
                }
                let change = match sender {
                    Sender::Member(leaf) => change_of_commit(&self.group, &commit, leaf),
                    _ => change_of_external_commit(&self.group, &commit)?,
                };
                let by = self.sender_now(&sender);
                let active = !commit.self_removed();
                self.lose_staged(receipt)?;
                self.keep_past_members(&change)?;
                self.provider
                    .changing(Changes::Present, || {
                        self.group.merge_staged_commit(self.provider, *commit)
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
            ProcessedMessageContent::OwnPendingCommit | ProcessedMessageContent::OwnPrivateMessage => {
                let reason = "The message claims to come from this client, which did not send it.";
                Ok(Verdict::Refused(Code::MessageInvalid, reason))
            }
        }
    }

    /// A commit of another member takes the epoch: the staged one, if any, can never be merged.
    pub(crate) fn lose_staged(&mut self, receipt: &mut Receipt) -> Result<()> {
        if let Some(staged) = self.staged()? {
            self.remember(&staged.commit_id, staged.epoch, Fate::Lost)?;
        }
        self.give_up_staged(receipt)
    }

    /// The staged commit, if any, is merged no more. What the server made of it is not known: its echo is one's own.
    pub(crate) fn give_up_staged(&mut self, receipt: &mut Receipt) -> Result<()> {
        if let Some(staged) = self.staged()? {
            self.forget_staged()?;
            receipt.settled.push(Settled {
                conversation_id: self.row.id.clone(),
                commit_id: staged.commit_id,
                merged: false,
                change: staged.change,
            });
        }
        Ok(())
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
