//! Messages that came too early, kept durably until what they wait for arrives.
//!
//! Anybody can send such messages, so the room for them is bounded and the oldest make way. Replaying them never fails
//! because of one of them.

use openmls::prelude::ContentType;
use serde::{Deserialize, Serialize};

use crate::conversation::framed::{Framed, frame};
use crate::conversation::known::MessageId;
use crate::conversation::received::{Receipt, Received, Unreadable, WaitingFor, What};
use crate::conversation::verdict::Verdict;
use crate::conversation::{Conversation, State};
use crate::error::{Error, Result};
use crate::keystore::Entity;
use crate::limits::{MAX_BUFFERED, MAX_BUFFERED_BYTES, MAX_BUFFERED_STRANGERS, PAST_EPOCHS};
use crate::provider::Provider;
use crate::session::Session;

/// A message that waits.
#[derive(Serialize, Deserialize)]
struct Entry {
    conversation_id: Vec<u8>,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

/// What has to be known of all that waits whenever one more comes: it is the key of the row, so that no message is read.
struct Ticket {
    /// The order in which they came.
    number: u64,
    since_ms: u64,
    epoch: u64,
    size: u32,
    content: ContentType,
    on: WaitingFor,
    message_id: MessageId,
}

impl Ticket {
    /// Numbers are big-endian, so that rows are in the order of their numbers.
    fn key(&self) -> Vec<u8> {
        let content = self.content as u8;
        let on = self.on as u8;
        [
            &self.number.to_be_bytes()[..],
            &self.since_ms.to_be_bytes(),
            &self.epoch.to_be_bytes(),
            &self.size.to_be_bytes(),
            &[content, on],
            &self.message_id,
        ]
        .concat()
    }

    fn of_key(key: &[u8]) -> Result<Ticket> {
        let read = || {
            let (number, rest) = key.split_first_chunk()?;
            let (since_ms, rest) = rest.split_first_chunk()?;
            let (epoch, rest) = rest.split_first_chunk()?;
            let (size, rest) = rest.split_first_chunk()?;
            let ([content, on], message_id) = rest.split_first_chunk()?;
            Some(Ticket {
                number: u64::from_be_bytes(*number),
                since_ms: u64::from_be_bytes(*since_ms),
                epoch: u64::from_be_bytes(*epoch),
                size: u32::from_be_bytes(*size),
                content: ContentType::try_from(*content).ok()?,
                on: [WaitingFor::Commit, WaitingFor::Proposal, WaitingFor::Welcome]
                    .into_iter()
                    .find(|known| *known as u8 == *on)?,
                message_id: message_id.try_into().ok()?,
            })
        };
        read().ok_or_else(|| Error::internal("the key of a message that waits cannot be read"))
    }

    fn answer(&self, conversation_id: Vec<u8>, what: What) -> Received {
        Received {
            message_id: self.message_id,
            conversation_id: Some(conversation_id),
            epoch: self.epoch,
            what,
        }
    }
}

impl Session {
    /// Keeps a message of a conversation that this client is not a member of.
    pub(crate) fn wait_for_welcome(
        &mut self,
        scope: &[u8],
        framed: Framed,
        bytes: &[u8],
        receipt: &mut Receipt,
    ) -> Result<()> {
        self.make_room_for_stranger(scope, receipt)?;
        let received = keep(&self.provider, scope, &framed, bytes, WaitingFor::Welcome, receipt)?;
        receipt.received.push(received);
        Ok(())
    }

    /// One conversation more for which messages wait: when there are too many, the one that waits longest makes way.
    fn make_room_for_stranger(&self, scope: &[u8], receipt: &mut Receipt) -> Result<()> {
        if !tickets(&self.provider, scope)?.is_empty() {
            return Ok(());
        }
        let mut strangers: Vec<(u64, Vec<u8>)> = Vec::new();
        for (waiting, key) in self.provider.rows().keys_of_all(Entity::Buffered)? {
            let Ok(ticket) = Ticket::of_key(&key) else { continue };
            if ticket.on == WaitingFor::Welcome && strangers.last().is_none_or(|(_, known)| *known != waiting) {
                strangers.push((ticket.since_ms, waiting));
            }
        }
        if strangers.len() < MAX_BUFFERED_STRANGERS {
            return Ok(());
        }
        match strangers.into_iter().min() {
            Some((_, oldest)) => evict_all(&self.provider, &oldest, receipt),
            None => Ok(()),
        }
    }
}

impl Conversation<'_> {
    /// Keeps a message for later.
    pub(crate) fn wait(
        &mut self,
        framed: &Framed,
        bytes: &[u8],
        on: WaitingFor,
        receipt: &mut Receipt,
    ) -> Result<Received> {
        keep(self.provider, &self.scope, framed, bytes, on, receipt)
    }

    /// Receives what waited and can be judged now, epoch by epoch: proposals and messages as they came, then commits, of which
    /// one at most begins the next epoch. Where nobody takes messages, they stay, and so do commits that would put them out of
    /// reach.
    pub(crate) fn replay(&mut self, receipt: &mut Receipt) -> Result<()> {
        let mut held = false;
        loop {
            let epoch = self.epoch();
            let mut due = tickets(self.provider, &self.scope)?;
            due.retain(|ticket| ticket.epoch <= epoch);
            if receipt.handshakes_only {
                let is_message = |ticket: &Ticket| ticket.content == ContentType::Application;
                let oldest = due
                    .iter()
                    .filter(|ticket| is_message(ticket))
                    .map(|ticket| ticket.epoch)
                    .min();
                held |= oldest.is_some();
                let in_reach = oldest.is_none_or(|oldest| epoch - oldest < PAST_EPOCHS);
                due.retain(|ticket| {
                    ticket.content == ContentType::Proposal || ticket.content == ContentType::Commit && in_reach
                });
            }
            let (commits, others): (Vec<_>, Vec<_>) = due
                .into_iter()
                .partition(|ticket| ticket.content == ContentType::Commit);
            for ticket in others.into_iter().chain(commits) {
                self.replay_entry(&ticket, receipt)?;
                if self.row.state == State::Removed {
                    return self.evict_closed(receipt);
                }
            }
            if self.epoch() == epoch {
                break;
            }
        }
        if self.row.held != held {
            self.row.held = held;
            self.store_row()?;
        }
        Ok(())
    }

    /// Whatever one entry turns out to be, the others have their turn.
    fn replay_entry(&mut self, ticket: &Ticket, receipt: &mut Receipt) -> Result<()> {
        let entry = entry_of(self.provider, &self.scope, ticket)?;
        let what = match frame(&entry.bytes) {
            Ok(Some(framed)) => match self.judge(&framed, receipt)? {
                // It goes on waiting, which was told when it came.
                Verdict::Wait(_) => return Ok(()),
                verdict => verdict.into_what()?,
            },
            _ => return Err(Error::internal("a message that waited cannot be read any more")),
        };
        self.provider
            .rows()
            .delete(Entity::Buffered, &self.scope, &ticket.key());
        receipt.received.push(ticket.answer(entry.conversation_id, what));
        Ok(())
    }

    /// This client was removed: forgets what waited for the epochs it was in, telling that it was lost. What is later waits for a
    /// Welcome, which may have been overtaken.
    pub(crate) fn evict_closed(&self, receipt: &mut Receipt) -> Result<()> {
        for ticket in tickets(self.provider, &self.scope)? {
            if ticket.epoch <= self.row.last + 1 {
                let entry = entry_of(self.provider, &self.scope, &ticket)?;
                evict(self.provider, &self.scope, &ticket, entry.conversation_id, receipt);
            }
        }
        self.let_wait_for_welcome()
    }

    /// Whatever waits, waits for a Welcome from now on.
    pub(crate) fn let_wait_for_welcome(&self) -> Result<()> {
        for mut ticket in tickets(self.provider, &self.scope)? {
            let entry = entry_of(self.provider, &self.scope, &ticket)?;
            self.provider
                .rows()
                .delete(Entity::Buffered, &self.scope, &ticket.key());
            ticket.on = WaitingFor::Welcome;
            self.provider
                .write(Entity::Buffered, &self.scope, &ticket.key(), &entry)?;
        }
        Ok(())
    }
}

/// Fails with `CONVERSATION_CORRUPT` where what waits cannot be read.
pub(crate) fn waits_soundly(provider: &Provider, scope: &[u8]) -> Result<()> {
    tickets(provider, scope)?
        .iter()
        .try_for_each(|ticket| entry_of(provider, scope, ticket).map(drop))
}

/// How many messages wait for a conversation.
pub(crate) fn count_waiting(provider: &Provider, scope: &[u8]) -> Result<usize> {
    Ok(provider.rows().keys(Entity::Buffered, scope)?.len())
}

/// What waits for a conversation, in the order it came.
fn tickets(provider: &Provider, scope: &[u8]) -> Result<Vec<Ticket>> {
    let keys = provider.rows().keys(Entity::Buffered, scope)?;
    let damaged = |_| Error::damaged(scope);
    keys.iter().map(|key| Ticket::of_key(key).map_err(damaged)).collect()
}

fn entry_of(provider: &Provider, scope: &[u8], ticket: &Ticket) -> Result<Entry> {
    let entry: Option<Entry> = provider.read(Entity::Buffered, scope, &ticket.key())?;
    entry.ok_or_else(|| Error::internal("a message that waits is gone"))
}

fn keep(
    provider: &Provider,
    scope: &[u8],
    framed: &Framed,
    bytes: &[u8],
    on: WaitingFor,
    receipt: &mut Receipt,
) -> Result<Received> {
    let mut waiting = tickets(provider, scope)?;
    if let Some(known) = waiting.iter().find(|ticket| ticket.message_id == framed.message_id) {
        let (on, since_ms, count) = (known.on, known.since_ms, waiting.len());
        return Ok(framed.answer(What::Waiting { on, since_ms, count }));
    }
    let ticket = Ticket {
        number: waiting.last().map_or(0, |last| last.number) + 1,
        since_ms: provider.clock().now_ms(),
        epoch: framed.epoch,
        size: u32::try_from(bytes.len())
            .map_err(|_| Error::internal("a message is larger than any that is accepted"))?,
        content: framed.content,
        on,
        message_id: framed.message_id,
    };
    let mut size: usize = waiting.iter().map(|ticket| ticket.size as usize).sum::<usize>() + bytes.len();
    while waiting.len() >= MAX_BUFFERED || (size > MAX_BUFFERED_BYTES && !waiting.is_empty()) {
        let evicted = waiting.remove(first_to_go(&waiting));
        size -= evicted.size as usize;
        evict(provider, scope, &evicted, framed.conversation_id.clone(), receipt);
    }
    let entry = Entry {
        conversation_id: framed.conversation_id.clone(),
        bytes: bytes.to_vec(),
    };
    provider.write(Entity::Buffered, scope, &ticket.key(), &entry)?;
    Ok(framed.answer(What::Waiting {
        on,
        since_ms: ticket.since_ms,
        count: waiting.len() + 1,
    }))
}

/// Which of these makes way. What waits for a proposal was found to come from a member, everything else anybody may have sent: it
/// goes first. Unless commits that wait for proposals have taken more than half of the room: one member can make many of them.
fn first_to_go(waiting: &[Ticket]) -> usize {
    let of_members = |ticket: &&Ticket| ticket.on == WaitingFor::Proposal;
    let count = waiting.iter().filter(of_members).count();
    let size: usize = waiting
        .iter()
        .filter(of_members)
        .map(|ticket| ticket.size as usize)
        .sum();
    let too_many = count > MAX_BUFFERED / 2 || size > MAX_BUFFERED_BYTES / 2;
    let first = waiting.iter().position(|ticket| of_members(&ticket) == too_many);
    first.unwrap_or(0)
}

fn evict_all(provider: &Provider, scope: &[u8], receipt: &mut Receipt) -> Result<()> {
    for ticket in tickets(provider, scope)? {
        let entry = entry_of(provider, scope, &ticket)?;
        evict(provider, scope, &ticket, entry.conversation_id, receipt);
    }
    Ok(())
}

fn evict(provider: &Provider, scope: &[u8], ticket: &Ticket, conversation_id: Vec<u8>, receipt: &mut Receipt) {
    provider.rows().delete(Entity::Buffered, scope, &ticket.key());
    let what = What::Unreadable(Unreadable::Evicted);
    receipt.received.push(ticket.answer(conversation_id, what));
}
