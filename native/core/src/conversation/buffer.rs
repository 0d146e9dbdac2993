//! Messages that came too early, kept durably until what they wait for arrives.
//!
//! Anybody can send such messages, so the room for them is bounded. It is divided into shares: each
//! member has one for commits that it has signed, all that may come from anybody is one in each
//! conversation, and there is one for all conversations that this client is not a member of. Who
//! fills a share loses what is in it, the oldest first, and nothing of another. How much waits is
//! counted in a row of its own, so that a message costs the same however many wait.
//!
//! Replaying what waits never fails because of one of the messages.

use std::collections::BTreeMap;

use openmls::prelude::{ContentType, GroupId};
use serde::{Deserialize, Serialize};

use crate::codec::decode;
use crate::conversation::framed::{Framed, frame};
use crate::conversation::known::MessageId;
use crate::conversation::received::{Receipt, Received, Unreadable, WaitingFor, What};
use crate::conversation::verdict::Verdict;
use crate::conversation::{Conversation, State};
use crate::error::{Code, Error, Result};
use crate::keystore::Entity;
use crate::limits::{
    MAX_BUFFERED, MAX_BUFFERED_BY_ONE, MAX_BUFFERED_BYTES, MAX_BUFFERED_BYTES_BY_ONE, MAX_BUFFERED_BYTES_OF_MEMBERS,
    MAX_BUFFERED_BYTES_OF_STRANGERS, MAX_BUFFERED_OF_MEMBERS, MAX_BUFFERED_OF_STRANGERS, MAX_BUFFERED_STRANGER,
    MAX_BUFFERED_STRANGERS, PAST_EPOCHS,
};
use crate::provider::Provider;
use crate::session::Session;

/// All rows of what waits for a conversation.
pub(crate) const WAITING: [Entity; 4] = [
    Entity::Buffered,
    Entity::BufferedPlace,
    Entity::BufferedQueue,
    Entity::BufferedStranger,
];

/// Whose room a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Share {
    /// The member of this leaf, which has signed it.
    Member(u32),
    /// Nobody knows who has sent it.
    Anybody,
}

impl Share {
    const ANYBODY: u32 = u32::MAX;

    fn number(self) -> u32 {
        match self {
            Share::Member(leaf) => leaf,
            Share::Anybody => Self::ANYBODY,
        }
    }

    fn room(self) -> Room {
        match self {
            Share::Member(_) => Room {
                count: MAX_BUFFERED_BY_ONE,
                bytes: MAX_BUFFERED_BYTES_BY_ONE,
            },
            Share::Anybody => Room {
                count: MAX_BUFFERED,
                bytes: MAX_BUFFERED_BYTES,
            },
        }
    }
}

/// How much may wait.
#[derive(Clone, Copy)]
struct Room {
    count: usize,
    bytes: usize,
}

/// A message that waits.
#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

/// What waits for a conversation, counted. `Anybody` has the largest number of the shares.
#[derive(Default, Serialize, Deserialize)]
struct Queue {
    /// The number of the next message: they are counted in the order in which they come.
    next: u64,
    /// Since when something waits, in milliseconds since 1970.
    since_ms: u64,
    shares: BTreeMap<u32, Held>,
}

/// What waits in a share.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Held {
    count: usize,
    bytes: usize,
    /// No message of the share has a smaller number.
    first: u64,
}

impl Held {
    fn exceeds(&self, room: Room) -> bool {
        self.count > room.count || self.bytes > room.bytes
    }
}

impl Queue {
    fn held(&self) -> Held {
        sum(self.shares.values())
    }

    fn held_by_members(&self) -> Held {
        sum(self.shares.range(..Share::ANYBODY).map(|(_, held)| held))
    }

    fn add(&mut self, share: u32, size: usize) {
        let number = self.next;
        let held = self.shares.entry(share).or_insert(Held {
            first: number,
            ..Held::default()
        });
        held.count += 1;
        held.bytes += size;
        self.next += 1;
    }

    fn remove(&mut self, ticket: &Ticket) {
        let Some(held) = self.shares.get_mut(&ticket.share) else {
            return;
        };
        held.count = held.count.saturating_sub(1);
        held.bytes = held.bytes.saturating_sub(ticket.size as usize);
        if held.first == ticket.number {
            held.first += 1;
        }
        if held.count == 0 {
            self.shares.remove(&ticket.share);
        }
    }

    /// The member's share that has most in it: by bytes, or by count where there are too many.
    fn largest_of_members(&self, room: Room) -> Option<u32> {
        let of_members = self.shares.range(..Share::ANYBODY);
        let by_count = self.held_by_members().count > room.count;
        let largest = of_members.max_by_key(|(_, held)| if by_count { held.count } else { held.bytes });
        largest.map(|(share, _)| *share)
    }
}

fn sum<'h>(held: impl Iterator<Item = &'h Held>) -> Held {
    held.fold(Held::default(), |sum, held| Held {
        count: sum.count + held.count,
        bytes: sum.bytes + held.bytes,
        first: 0,
    })
}

/// What has to be known of all that waits when some of it may have its turn: it is the key of the
/// row, so that no message is read.
struct Ticket {
    share: u32,
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
    /// Numbers are big-endian, so that the rows of a share are in the order of their numbers.
    fn key(&self) -> Vec<u8> {
        let content = self.content as u8;
        let on = self.on as u8;
        [
            &place(self.share, self.number)[..],
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
            let (share, rest) = key.split_first_chunk()?;
            let (number, rest) = rest.split_first_chunk()?;
            let (since_ms, rest) = rest.split_first_chunk()?;
            let (epoch, rest) = rest.split_first_chunk()?;
            let (size, rest) = rest.split_first_chunk()?;
            let ([content, on], message_id) = rest.split_first_chunk()?;
            Some(Ticket {
                share: u32::from_be_bytes(*share),
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

/// How the key of a message begins.
fn place(share: u32, number: u64) -> [u8; 12] {
    let mut place = [0; 12];
    place[..4].copy_from_slice(&share.to_be_bytes());
    place[4..].copy_from_slice(&number.to_be_bytes());
    place
}

impl Session {
    /// Keeps a message of a conversation that this client is not a member of. What follows from it
    /// comes after its own result.
    pub(crate) fn wait_for_welcome(&mut self, scope: &[u8], framed: &Framed<'_>, receipt: &mut Receipt) -> Result<()> {
        if framed.bytes.len() > MAX_BUFFERED_STRANGER {
            receipt
                .received
                .push(framed.answer(What::Unreadable(Unreadable::Evicted)));
            return Ok(());
        }
        let waiting = Waiting::of(&self.provider, scope, Entity::BufferedStranger)?;
        let evicted = waiting.keep(framed, WaitingFor::Welcome, Share::Anybody, receipt)?;
        receipt.received.extend(evicted);
        self.make_room_among_strangers(scope, receipt)
    }

    /// When messages wait for too many conversations, the one that has waited longest makes way;
    /// when too many messages wait for all together, the oldest of the conversation for which most
    /// wait.
    fn make_room_among_strangers(&self, newest: &[u8], receipt: &mut Receipt) -> Result<()> {
        let room = Room {
            count: MAX_BUFFERED_OF_STRANGERS,
            bytes: MAX_BUFFERED_BYTES_OF_STRANGERS,
        };
        let mut strangers = Vec::new();
        for (scope, key) in self.provider.rows().keys_of_all(Entity::BufferedStranger)? {
            match self.provider.read::<Queue>(Entity::BufferedStranger, &scope, &key) {
                Ok(queue) => strangers.extend(queue.map(|queue| (scope, queue.since_ms, queue.held()))),
                // The damage of one conversation is not the trouble of another.
                Err(error) if error.code() == Code::ConversationCorrupt => {}
                Err(error) => return Err(error),
            }
        }
        while strangers.len() > MAX_BUFFERED_STRANGERS {
            let others = strangers.iter().enumerate().filter(|(_, (scope, ..))| scope != newest);
            let Some((oldest, _)) = others.min_by_key(|(_, (_, since_ms, _))| *since_ms) else {
                break;
            };
            let (scope, ..) = strangers.swap_remove(oldest);
            let mut waiting = Waiting::of(&self.provider, &scope, Entity::BufferedStranger)?;
            while let Some(evicted) = waiting.evict_first(Share::ANYBODY)? {
                receipt.received.push(evicted);
            }
            waiting.store()?;
        }
        loop {
            let all = sum(strangers.iter().map(|(_, _, held)| held));
            if !all.exceeds(room) {
                return Ok(());
            }
            let by_count = all.count > room.count;
            let size = |held: &Held| if by_count { held.count } else { held.bytes };
            let Some((scope, _, held)) = strangers.iter_mut().max_by_key(|(_, _, held)| size(held)) else {
                return Ok(());
            };
            let mut waiting = Waiting::of(&self.provider, scope, Entity::BufferedStranger)?;
            let Some(evicted) = waiting.evict_first(Share::ANYBODY)? else {
                return Err(Error::internal("more messages were counted than wait"));
            };
            receipt.received.push(evicted);
            *held = waiting.queue.held();
            waiting.store()?;
        }
    }
}

impl Conversation<'_> {
    /// Keeps a message for later; what makes way for it is the answer, and is told after it.
    pub(crate) fn wait(
        &mut self,
        framed: &Framed<'_>,
        on: WaitingFor,
        share: Share,
        receipt: &mut Receipt,
    ) -> Result<Vec<Received>> {
        Waiting::of(self.provider, &self.scope, Entity::BufferedQueue)?.keep(framed, on, share, receipt)
    }

    /// Receives what waited and can be judged now, epoch by epoch: proposals and messages as they came, then commits, of which
    /// one at most begins the next epoch. Where nobody takes messages, they stay, and so do commits that would put them out of
    /// reach.
    pub(crate) fn replay(&mut self, receipt: &mut Receipt) -> Result<()> {
        let waiting = Waiting::of(self.provider, &self.scope, Entity::BufferedQueue)?;
        if waiting.taken_over {
            waiting.store()?;
        }
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
        let what = match frame(&entry.bytes, ticket.message_id) {
            Ok(Some(framed)) => match self.judge(&framed, receipt)? {
                // It goes on waiting, which was told when it came.
                Verdict::Wait(..) => return Ok(()),
                verdict => verdict.into_what()?,
            },
            _ => return Err(Error::damaged(&self.scope)),
        };
        let mut waiting = Waiting::of(self.provider, &self.scope, Entity::BufferedQueue)?;
        waiting.remove(ticket);
        receipt.received.push(ticket.answer(self.row.id.clone(), what));
        waiting.store()
    }

    /// This client was removed: forgets what waited for the epochs it was in, telling that it was lost. What is later waits for a
    /// Welcome, which may have been overtaken.
    pub(crate) fn evict_closed(&self, receipt: &mut Receipt) -> Result<()> {
        let mut waiting = Waiting::of(self.provider, &self.scope, Entity::BufferedQueue)?;
        for ticket in tickets(self.provider, &self.scope)? {
            if ticket.epoch <= self.row.last + 1 {
                receipt.received.push(waiting.evict(&ticket)?);
            }
        }
        waiting.store()?;
        self.let_wait_for_welcome()
    }

    /// Whatever waits, waits for a Welcome from now on, and for a conversation that this client is
    /// not a member of.
    pub(crate) fn let_wait_for_welcome(&self) -> Result<()> {
        let mut waiting = Waiting::of(self.provider, &self.scope, Entity::BufferedStranger)?;
        for mut ticket in tickets(self.provider, &self.scope)? {
            let entry = entry_of(self.provider, &self.scope, &ticket)?;
            waiting.remove(&ticket);
            ticket.on = WaitingFor::Welcome;
            waiting.put(ticket, Share::Anybody, &entry)?;
        }
        waiting.store()
    }
}

/// Fails with `CONVERSATION_CORRUPT` where what waits cannot be read.
pub(crate) fn waits_soundly(provider: &Provider, scope: &[u8]) -> Result<()> {
    for entity in [Entity::BufferedQueue, Entity::BufferedStranger] {
        let _: Option<Queue> = provider.read(entity, scope, &[])?;
    }
    tickets(provider, scope)?
        .iter()
        .try_for_each(|ticket| entry_of(provider, scope, ticket).map(drop))
}

/// How many messages wait for a conversation.
pub(crate) fn count_waiting(provider: &Provider, scope: &[u8]) -> Result<usize> {
    let mut count = 0;
    for entity in [Entity::BufferedQueue, Entity::BufferedStranger] {
        let queue: Option<Queue> = provider.read(entity, scope, &[])?;
        count += queue.map_or(0, |queue| queue.held().count);
    }
    Ok(count)
}

/// What waits for a conversation, in the order it came.
fn tickets(provider: &Provider, scope: &[u8]) -> Result<Vec<Ticket>> {
    let keys = provider.rows().keys(Entity::Buffered, scope)?;
    let damaged = |_| Error::damaged(scope);
    let tickets = keys.iter().map(|key| Ticket::of_key(key).map_err(damaged));
    let mut tickets = tickets.collect::<Result<Vec<_>>>()?;
    tickets.sort_by_key(|ticket| ticket.number);
    Ok(tickets)
}

fn entry_of(provider: &Provider, scope: &[u8], ticket: &Ticket) -> Result<Entry> {
    let entry: Option<Entry> = provider.read(Entity::Buffered, scope, &ticket.key())?;
    entry.ok_or_else(|| Error::internal("a message that waits is gone"))
}

/// What waits for one conversation, in hand.
struct Waiting<'a> {
    provider: &'a Provider,
    scope: &'a [u8],
    /// Of which kind the row is that counts.
    kind: Entity,
    /// Whether it was counted by the other one before.
    taken_over: bool,
    queue: Queue,
}

impl<'a> Waiting<'a> {
    /// `kind` says whether this client is a member now. What was counted before it became one, or
    /// ceased to be, is taken over.
    fn of(provider: &'a Provider, scope: &'a [u8], kind: Entity) -> Result<Self> {
        let mut queue: Option<Queue> = provider.read(kind, scope, &[])?;
        let mut taken_over = false;
        if queue.is_none() {
            let other = match kind {
                Entity::BufferedQueue => Entity::BufferedStranger,
                _ => Entity::BufferedQueue,
            };
            queue = provider.read(other, scope, &[])?;
            taken_over = queue.is_some();
            if taken_over {
                provider.rows().delete(other, scope, &[]);
            }
        }
        Ok(Waiting {
            provider,
            scope,
            kind,
            taken_over,
            queue: queue.unwrap_or_default(),
        })
    }

    /// Stores what is counted.
    fn store(self) -> Result<()> {
        if self.queue.shares.is_empty() {
            self.provider.rows().delete(self.kind, self.scope, &[]);
            return Ok(());
        }
        self.provider.write(self.kind, self.scope, &[], &self.queue)
    }

    /// Keeps a message, which is told, and answers what makes way for it.
    fn keep(
        mut self,
        framed: &Framed<'_>,
        on: WaitingFor,
        share: Share,
        receipt: &mut Receipt,
    ) -> Result<Vec<Received>> {
        let known = self
            .provider
            .rows()
            .get(Entity::BufferedPlace, self.scope, &framed.message_id)?;
        if let Some(key) = known {
            let Ticket { on, since_ms, .. } = Ticket::of_key(&key)?;
            let count = self.queue.held().count;
            receipt
                .received
                .push(framed.answer(What::Waiting { on, since_ms, count }));
            self.store()?;
            return Ok(Vec::new());
        }
        let size = framed.bytes.len();
        if size > share.room().bytes {
            receipt
                .received
                .push(framed.answer(What::Unreadable(Unreadable::Evicted)));
            self.store()?;
            return Ok(Vec::new());
        }
        let since_ms = self.provider.clock().now_ms();
        if self.queue.shares.is_empty() {
            self.queue.since_ms = since_ms;
        }
        let ticket = Ticket {
            share: share.number(),
            number: 0,
            since_ms,
            epoch: framed.epoch,
            size: u32::try_from(size).map_err(|_| Error::internal("a message is larger than any that is accepted"))?,
            content: framed.content,
            on,
            message_id: framed.message_id,
        };
        let entry = Entry {
            bytes: framed.bytes.to_vec(),
        };
        self.put(ticket, share, &entry)?;
        let evicted = self.make_room(share)?;
        let count = self.queue.held().count;
        receipt
            .received
            .push(framed.answer(What::Waiting { on, since_ms, count }));
        self.store()?;
        Ok(evicted)
    }

    /// Puts a message behind all others.
    fn put(&mut self, mut ticket: Ticket, share: Share, entry: &Entry) -> Result<()> {
        ticket.share = share.number();
        ticket.number = self.queue.next;
        self.queue.add(ticket.share, ticket.size as usize);
        let key = ticket.key();
        self.provider.write(Entity::Buffered, self.scope, &key, entry)?;
        self.provider
            .rows()
            .put(Entity::BufferedPlace, self.scope, &ticket.message_id, key);
        Ok(())
    }

    fn remove(&mut self, ticket: &Ticket) {
        let rows = self.provider.rows();
        rows.delete(Entity::Buffered, self.scope, &ticket.key());
        rows.delete(Entity::BufferedPlace, self.scope, &ticket.message_id);
        self.queue.remove(ticket);
    }

    fn make_room(&mut self, share: Share) -> Result<Vec<Received>> {
        let mut evicted = Vec::new();
        let number = share.number();
        while self
            .queue
            .shares
            .get(&number)
            .is_some_and(|held| held.exceeds(share.room()))
        {
            evicted.extend(self.evict_first(number)?);
        }
        let of_members = Room {
            count: MAX_BUFFERED_OF_MEMBERS,
            bytes: MAX_BUFFERED_BYTES_OF_MEMBERS,
        };
        while self.queue.held_by_members().exceeds(of_members) {
            let Some(largest) = self.queue.largest_of_members(of_members) else {
                break;
            };
            evicted.extend(self.evict_first(largest)?);
        }
        Ok(evicted)
    }

    /// The oldest message of a share makes way; `None` where there is none.
    fn evict_first(&mut self, share: u32) -> Result<Option<Received>> {
        let Some(held) = self.queue.shares.get(&share) else {
            return Ok(None);
        };
        let from = place(share, held.first);
        let key = self.provider.rows().first_key(Entity::Buffered, self.scope, &from)?;
        let first = key.map(|key| Ticket::of_key(&key)).transpose()?;
        let Some(first) = first.filter(|ticket| ticket.share == share) else {
            return Err(Error::internal("more messages were counted than wait"));
        };
        if let Some(held) = self.queue.shares.get_mut(&share) {
            held.first = first.number;
        }
        self.evict(&first).map(Some)
    }

    fn evict(&mut self, ticket: &Ticket) -> Result<Received> {
        let id: GroupId = decode(self.scope)?;
        self.remove(ticket);
        Ok(ticket.answer(id.as_slice().to_vec(), What::Unreadable(Unreadable::Evicted)))
    }
}
