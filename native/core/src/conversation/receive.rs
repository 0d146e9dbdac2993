//! Receiving: every message from outside comes in here, and ordinary life is never an error.
//!
//! What is rejected leaves no trace. What cannot be judged yet waits in the buffer (`buffer.rs`).

use openmls::prelude::ContentType;

use crate::conversation::buffer::Share;
use crate::conversation::commit::{Settled, StagedCommit};
use crate::conversation::external_join::PendingJoin;
use crate::conversation::framed::{Framed, frame};
use crate::conversation::known::{Fate, message_id};
use crate::conversation::received::{Ignored, Receipt, Received, Unreadable, WaitingFor, What};
use crate::conversation::seen::{Origin, origin};
use crate::conversation::stalled::StallCause;
use crate::conversation::verdict::Verdict;
use crate::conversation::{Conversation, State, scope_of};
use crate::error::{Code, Error, Result};
use crate::session::Session;

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
        let framed = match frame(bytes, message_id) {
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
        let damaged = framed.answer(What::Rejected(
            Code::ConversationCorrupt,
            "What the keystore has of this conversation is damaged, so that nothing of it can be received. Call wipe(), then \
             join it anew.",
        ));
        let (savepoint, before) = (self.provider.rows().savepoint(), receipt.lengths());
        match self.receive_framed(scope, &framed, receipt) {
            // That of one conversation is not the trouble of the others in the batch.
            Err(error) if error.code() == Code::ConversationCorrupt => {
                self.provider.rows().rollback_to(savepoint);
                receipt.truncate(before);
                receipt.received.push(damaged);
                Ok(())
            }
            received => received,
        }
    }

    fn receive_framed(&mut self, scope: Vec<u8>, framed: &Framed<'_>, receipt: &mut Receipt) -> Result<()> {
        if let Some(pending) = self.pending_join_by(&scope, &framed.message_id)? {
            return self.receive_own_join(scope, pending, framed, receipt);
        }
        let row = self.find_row(&scope)?;
        let removed_at = row
            .as_ref()
            .filter(|row| row.state == State::Removed)
            .map(|row| row.last);
        match (&row, removed_at) {
            // The epoch after the last one began with our removal: no later Welcome can open it.
            (_, Some(last)) if framed.epoch <= last + 1 => {
                let what = match framed.content {
                    ContentType::Application => match origin(&self.provider, &scope, &framed.message_id)? {
                        Some(origin) => known_before(origin),
                        None => What::Unreadable(Unreadable::Removed),
                    },
                    _ => What::Ignored(Ignored::StaleHandshake),
                };
                receipt.received.push(framed.answer(what));
                Ok(())
            }
            (None, _) | (_, Some(_)) => self.wait_for_welcome(&scope, framed, receipt),
            (Some(row), None) => {
                let id = row.id.clone();
                self.in_conversation(&id, |conversation| conversation.receive(framed, receipt))
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
        framed: &Framed<'_>,
        receipt: &mut Receipt,
    ) -> Result<()> {
        let asked_for = pending.staged.change.clone();
        self.adopt_join(scope, pending, receipt)?;
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
    fn receive(&mut self, framed: &Framed<'_>, receipt: &mut Receipt) -> Result<()> {
        let before = (self.epoch(), self.group.pending_proposals().count());
        match self.judge(framed, receipt)? {
            Verdict::Wait(on, share) => {
                let evicted = self.wait(framed, on, share, receipt)?;
                receipt.received.extend(evicted);
            }
            verdict => {
                let what = verdict.into_what()?;
                let gone = matches!(
                    what,
                    What::Unreadable(Unreadable::EpochTooOld | Unreadable::OutsideWindow)
                );
                if receipt.from_log && gone {
                    return Ok(());
                }
                receipt.received.push(framed.answer(what));
            }
        }
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
    pub(crate) fn judge(&mut self, framed: &Framed<'_>, receipt: &mut Receipt) -> Result<Verdict> {
        if framed.content != ContentType::Application {
            return self.judge_handshake(framed, receipt);
        }
        let verdict = match framed.epoch {
            epoch if epoch > self.epoch() => Verdict::Wait(WaitingFor::Commit, Share::Anybody),
            epoch if epoch < self.oldest_readable() => Verdict::OutOfReach(Unreadable::EpochTooOld),
            _ => self.process(framed, receipt)?,
        };
        Ok(match verdict {
            Verdict::OutOfReach(why) => Verdict::Received(match self.origin(&framed.message_id)? {
                Some(origin) => known_before(origin),
                None => What::Unreadable(why),
            }),
            // Its key is gone, which is not to say that it was received.
            Verdict::Received(What::Ignored(Ignored::Duplicate)) if self.origin(&framed.message_id)?.is_none() => {
                let reason = "The key of this message is used up by another one: it was damaged, or its sender has used the key twice.";
                Verdict::Refused(Code::MessageInvalid, reason)
            }
            Verdict::Own(generation) => self.judge_own(framed, generation)?,
            verdict => verdict,
        })
    }

    fn judge_handshake(&mut self, framed: &Framed<'_>, receipt: &mut Receipt) -> Result<Verdict> {
        if let Some(fate) = self.fate(&framed.message_id)? {
            return self.judge_known(framed, fate, receipt);
        }
        let verdict = match framed.epoch {
            epoch if epoch > self.epoch() => Verdict::Wait(WaitingFor::Commit, Share::Anybody),
            epoch if epoch < self.epoch() => Verdict::Received(What::Ignored(Ignored::StaleHandshake)),
            _ => self.process(framed, receipt)?,
        };
        match verdict {
            Verdict::Stalls(why, reason) => self.stall(framed, why, reason, receipt)?,
            // It goes on waiting: what it names may be something else, that comes yet.
            Verdict::Wait(WaitingFor::Proposal, _) if self.has_left_out()? => {
                let reason =
                    "The commit of a member names a proposal that was refused here; others may have applied it.";
                self.stall(framed, StallCause::Refused, reason, receipt)?;
            }
            _ => {}
        }
        Ok(match verdict {
            Verdict::Own(_) => not_sent(),
            verdict => verdict,
        })
    }

    /// A message that claims to come from this client is its own if it is known, or if a transaction that died with this
    /// process, or a lost state of the keystore, may have made it.
    fn judge_own(&self, framed: &Framed<'_>, generation: u32) -> Result<Verdict> {
        let is_own = self.origin(&framed.message_id)? == Some(Origin::Own)
            || self.died_with_a_transaction(framed.epoch, generation)?
            || self.lost_state_may_have_sent(framed.epoch)?;
        Ok(if is_own {
            Verdict::Received(What::Ignored(Ignored::Own))
        } else {
            not_sent()
        })
    }

    fn judge_known(&mut self, framed: &Framed<'_>, fate: Fate, receipt: &mut Receipt) -> Result<Verdict> {
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
            Fate::Refused => {
                let reason = "The server delivers a commit of this client that it had refused for good.";
                if framed.epoch == self.epoch() {
                    self.stall(framed, StallCause::Refused, reason, receipt)?;
                }
                contradiction(reason)
            }
        })
    }

    /// The own commit came back before the transport's answer: it is accepted.
    fn merge_echo(&mut self, staged: StagedCommit, receipt: &mut Receipt) -> Result<What> {
        receipt.settled.push(Settled {
            conversation_id: self.row.id.clone(),
            commit_id: staged.commit_id,
            merged: true,
            change: staged.change.clone(),
        });
        self.merge_accepted(staged, receipt)
    }
}

fn known_before(origin: Origin) -> What {
    What::Ignored(match origin {
        Origin::Own => Ignored::Own,
        Origin::Other => Ignored::Duplicate,
    })
}

fn not_sent() -> Verdict {
    let reason = "The message claims to come from this client, which did not send it.";
    Verdict::Refused(Code::MessageInvalid, reason)
}
