//! Messages that came too early, kept durably until what they wait for arrives.
//!
//! Anybody can send such messages, so the room for them is bounded and the oldest make way. Replaying them never fails
//! because of one of them.

use openmls::prelude::ContentType;
use serde::{Deserialize, Serialize};

use crate::codec::decode;
use crate::conversation::framed::{Framed, frame};
use crate::conversation::known::MessageId;
use crate::conversation::policy::Verdict;
use crate::conversation::received::{Receipt, Received, Unreadable, WaitingFor, What};
use crate::conversation::stage::now_ms;
use crate::conversation::{Conversation, State};
use crate::error::{Error, Result};
use crate::keystore::Entity;
use crate::limits::{MAX_BUFFERED, MAX_BUFFERED_BYTES, MAX_BUFFERED_STRANGERS, PAST_EPOCHS};
use crate::provider::Provider;
use crate::session::Session;

#[derive(Serialize, Deserialize)]
struct Entry {
    message_id: MessageId,
    conversation_id: Vec<u8>,
    epoch: u64,
    /// Commits are tried after everything else of their epoch.
    commit: bool,
    /// Whether the application must get it.
    message: bool,
    on: WaitingFor,
    since_ms: u64,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

impl Entry {
    fn answer(&self, what: What) -> Received {
        let conversation_id = Some(self.conversation_id.clone());
        Received {
            message_id: self.message_id,
            conversation_id,
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
        let mut strangers: Vec<(u64, Vec<u8>)> = Vec::new();
        for (waiting, _, value) in self.provider.rows().list_all(Entity::Buffered)? {
            let entry: Entry = decode(&value)?;
            if waiting == scope {
                return Ok(());
            }
            if entry.on == WaitingFor::Welcome && !strangers.iter().any(|(_, known)| *known == waiting) {
                strangers.push((entry.since_ms, waiting));
            }
        }
        if strangers.len() < MAX_BUFFERED_STRANGERS {
            return Ok(());
        }
        let Some((_, oldest)) = strangers.into_iter().min() else {
            return Ok(());
        };
        for (key, entry) in entries(&self.provider, &oldest)? {
            evict(&self.provider, &oldest, &key, &entry, receipt);
        }
        Ok(())
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
            let mut due = entries(self.provider, &self.scope)?;
            due.retain(|(_, entry)| entry.epoch <= epoch);
            if receipt.handshakes_only {
                let oldest = due
                    .iter()
                    .filter(|(_, entry)| entry.message)
                    .map(|(_, entry)| entry.epoch)
                    .min();
                held |= oldest.is_some();
                let in_reach = oldest.is_none_or(|oldest| epoch - oldest < PAST_EPOCHS);
                due.retain(|(_, entry)| !entry.message && (in_reach || !entry.commit));
            }
            let (commits, others): (Vec<_>, Vec<_>) = due.into_iter().partition(|(_, entry)| entry.commit);
            for (key, entry) in others.into_iter().chain(commits) {
                self.replay_entry(&key, &entry, receipt)?;
                if self.row.state == State::Removed {
                    return self.evict_all(receipt);
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
    fn replay_entry(&mut self, key: &[u8], entry: &Entry, receipt: &mut Receipt) -> Result<()> {
        let what = match frame(&entry.bytes) {
            Ok(Some(framed)) => match self.judge(&framed, receipt)? {
                // It goes on waiting, which was told when it came.
                Verdict::Wait(_) => return Ok(()),
                verdict => verdict.into_what()?,
            },
            _ => return Err(Error::internal("a message that waited cannot be read any more")),
        };
        self.provider.rows().delete(Entity::Buffered, &self.scope, key);
        receipt.received.push(entry.answer(what));
        Ok(())
    }

    /// Forgets all that waits for this conversation, telling that it was lost.
    pub(crate) fn evict_all(&self, receipt: &mut Receipt) -> Result<()> {
        for (key, entry) in entries(self.provider, &self.scope)? {
            evict(self.provider, &self.scope, &key, &entry, receipt);
        }
        Ok(())
    }
}

/// The entries of a conversation in the order they came.
fn entries(provider: &Provider, scope: &[u8]) -> Result<Vec<(Vec<u8>, Entry)>> {
    let rows = provider.rows().list(Entity::Buffered, scope)?;
    rows.into_iter()
        .map(|(key, value)| Ok((key, decode(&value)?)))
        .collect()
}

fn keep(
    provider: &Provider,
    scope: &[u8],
    framed: &Framed,
    bytes: &[u8],
    on: WaitingFor,
    receipt: &mut Receipt,
) -> Result<Received> {
    let mut waiting = entries(provider, scope)?;
    if let Some((_, known)) = waiting.iter().find(|(_, entry)| entry.message_id == framed.message_id) {
        let (on, since_ms, count) = (known.on, known.since_ms, waiting.len());
        return Ok(framed.answer(What::Waiting { on, since_ms, count }));
    }
    let next = waiting
        .last()
        .and_then(|(key, _)| key.as_slice().try_into().ok())
        .map_or(0, u64::from_be_bytes)
        + 1;
    let mut size: usize = waiting.iter().map(|(_, entry)| entry.bytes.len()).sum::<usize>() + bytes.len();
    while waiting.len() >= MAX_BUFFERED || (size > MAX_BUFFERED_BYTES && !waiting.is_empty()) {
        let (key, entry) = waiting.remove(0);
        size -= entry.bytes.len();
        evict(provider, scope, &key, &entry, receipt);
    }
    let entry = Entry {
        message_id: framed.message_id,
        conversation_id: framed.conversation_id.clone(),
        epoch: framed.epoch,
        commit: framed.content == ContentType::Commit,
        message: framed.content == ContentType::Application,
        on,
        since_ms: now_ms(),
        bytes: bytes.to_vec(),
    };
    provider.write(Entity::Buffered, scope, &next.to_be_bytes(), &entry)?;
    Ok(framed.answer(What::Waiting {
        on,
        since_ms: entry.since_ms,
        count: waiting.len() + 1,
    }))
}

fn evict(provider: &Provider, scope: &[u8], key: &[u8], entry: &Entry, receipt: &mut Receipt) {
    provider.rows().delete(Entity::Buffered, scope, key);
    receipt
        .received
        .push(entry.answer(What::Unreadable(Unreadable::Evicted)));
}
