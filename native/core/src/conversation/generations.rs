//! No own ratchet generation is ever used twice (RFC 9420 section 6.3.1).
//!
//! Outside a transaction a message is stored before its bytes are handed out. Inside one the bytes are handed out first, and
//! the transaction may be taken back or die: so generations are *reserved*, durably and in blocks, before they are used. When
//! a group comes back to an epoch with fewer messages sent than reserved, the difference is *burnt*: used up by messages that
//! nobody gets to see. Receivers skip so many generations and no more, so what is burnt in a row has a bound.
//!
//! A record names the epoch and its *incarnation*: a group that was founded anew under the same id comes to the same epoch
//! numbers, and owes nothing to the one before it.
//!
//! A group comes back to an epoch when a transaction is taken back, or by a Welcome for a last-resort key package, which can be
//! used again. For the second case the counts of the epoch that was joined so are kept, those of handshakes too.

use std::collections::{BTreeMap, HashMap};

use openmls::group::Propose;
use openmls::prelude::ProposalOrRefType;
use openmls_traits::OpenMlsProvider;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::codec::decode_of;
use crate::conversation::Conversation;
use crate::conversation::known::MessageId;
use crate::conversation::seen::{Origin, origin, see};
use crate::error::{Code, Error, Result};
use crate::keystore::Entity;
use crate::limits::{MAX_BURNT, MAX_COMMITS_IN_EPOCH, MAX_RENEWALS_IN_EPOCH, MAX_RETURNS, PAST_EPOCHS};
use crate::provider::Provider;
use crate::storage::Changes;

/// How many generations are reserved at once. Receivers skip up to [`crate::limits::FORWARD`] in a row.
const BLOCK: u32 = 32;

/// What a transaction reserved and handed out, whatever becomes of it.
#[derive(Default)]
pub(crate) struct Reserved {
    /// The number of generations that it really used, by group and epoch.
    used: HashMap<(Vec<u8>, Place), u32>,
    /// Its messages, which must be known when they come back.
    sent: Vec<(Vec<u8>, MessageId)>,
    /// Whether a part of it was taken back, and with it perhaps the record of a message.
    pub(crate) came_back: bool,
}

/// An epoch of one incarnation of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    epoch: u64,
    /// From the epoch authenticator, which no two groups have alike (RFC 9420 section 8.7).
    incarnation: [u8; 16],
}

/// How many application messages were sent in an epoch.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Sent {
    /// The number of generations that are used up.
    count: u32,
    /// How many of the last ones were burnt, with no message among them that is stored as sent.
    burnt: u32,
}

/// What a row of this kind says; the first byte of its key.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// Application messages sent, [`Sent`].
    Sent = b's',
    /// Generations of application messages that a transaction has reserved: a number.
    Reserved = b'r',
    /// Handshakes sent: a number.
    Handshakes = b'h',
    /// Generations of application messages that are used, should the group come back to the epoch: a number.
    Left = b'S',
    /// The same for handshakes.
    LeftHandshakes = b'H',
    /// Generations that were burnt without a message being known: a range.
    Burnt = b'b',
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::Sent,
        Kind::Reserved,
        Kind::Handshakes,
        Kind::Left,
        Kind::LeftHandshakes,
        Kind::Burnt,
    ];
}

impl Reserved {
    /// The transaction is stored: what it sent is counted in the groups themselves. Except where it came back to a mark, or
    /// deleted the conversation: what it used stays reserved then.
    pub(crate) fn release(self, provider: &Provider) -> Result<()> {
        if self.came_back {
            self.remember_sent(provider)?;
        }
        for ((scope, place), used) in self.used {
            let sent: Option<Sent> = provider.read(Entity::Generations, &scope, &place.key(Kind::Sent))?;
            let reserved = place.key(Kind::Reserved);
            if sent.unwrap_or_default().count < used {
                provider.write(Entity::Generations, &scope, &reserved, &used)?;
            } else {
                provider.rows().delete(Entity::Generations, &scope, &reserved);
            }
        }
        Ok(())
    }

    /// The transaction is taken back: exactly what it used stays reserved.
    pub(crate) fn burn(self, provider: &Provider) -> Result<()> {
        self.remember_sent(provider)?;
        for ((scope, place), used) in self.used {
            provider.write(Entity::Generations, &scope, &place.key(Kind::Reserved), &used)?;
        }
        Ok(())
    }

    /// Of conversations that are there: a message may have been sent though the step that made it was taken back.
    fn remember_sent(&self, provider: &Provider) -> Result<()> {
        for (scope, id) in &self.sent {
            let is_there = provider.rows().get(Entity::Conversation, scope, &[])?.is_some();
            if is_there && origin(provider, scope, id)?.is_none() {
                see(provider, scope, id, Origin::Own)?;
            }
        }
        Ok(())
    }
}

impl Place {
    fn key(self, kind: Kind) -> Vec<u8> {
        [&[kind as u8][..], &self.epoch.to_be_bytes(), &self.incarnation].concat()
    }

    /// The kind and the place that a row belongs to.
    fn of_key(key: &[u8]) -> Option<(u8, Place)> {
        let ([kind], rest) = key.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let place = Place {
            epoch: u64::from_be_bytes(*epoch),
            incarnation: *rest.first_chunk()?,
        };
        Some((*kind, place))
    }
}

impl Conversation<'_> {
    /// Burns what is reserved from before, so that the next message has a generation of its own. Answers how many were used.
    /// Fails with `EPOCH_EXHAUSTED`, and burns nothing, where receivers would not skip so many.
    pub(crate) fn burn_reserved(&mut self) -> Result<u32> {
        let place = self.place();
        let (sent, gone) = (self.sent(place)?, self.gone(place)?);
        if sent.count >= gone {
            return Ok(sent.count);
        }
        let burnt = sent.burnt.saturating_add(gone - sent.count);
        if burnt > MAX_BURNT {
            return Err(exhausted(self.epoch()));
        }
        for _ in sent.count..gone {
            let signer = DummySigner(self.group.ciphersuite().signature_algorithm());
            self.provider
                .changing(Changes::Message, || {
                    self.group.create_message(self.provider, &signer, &[])
                })
                .map_err(|cause| Error::internal("a ratchet generation could not be burnt").caused_by(cause))?;
        }
        self.note_burnt(place, sent.count, gone)?;
        self.write_number_of(place, Kind::Sent, &Sent { count: gone, burnt })?;
        Ok(gone)
    }

    /// Inside a transaction, makes sure that the generation after `sent` is never used again, whatever becomes of it.
    pub(crate) fn reserve(&mut self, sent: u32) -> Result<()> {
        if self.reserved.is_none() {
            return Ok(());
        }
        // The bytes are handed out before anything is stored.
        self.provider.rows().refuse_when_lost()?;
        let place = self.place();
        if sent >= self.number_of(place, Kind::Reserved)? {
            let savepoint = self.provider.rows().savepoint();
            self.write_number_of(place, Kind::Reserved, &sent.saturating_add(BLOCK))?;
            self.provider.rows().flush_since(savepoint)?;
        }
        let used = (self.scope.clone(), place);
        if let Some(reserved) = &mut self.reserved {
            reserved.used.insert(used, sent + 1);
        }
        Ok(())
    }

    /// Inside a transaction, notes a message that is handed out.
    pub(crate) fn hand_out(&mut self, id: MessageId) {
        let message = (self.scope.clone(), id);
        if let Some(reserved) = &mut self.reserved {
            reserved.sent.push(message);
        }
    }

    /// One more application message is sent; `before` were.
    pub(crate) fn count_message(&self, before: u32) -> Result<()> {
        let sent = Sent {
            count: before + 1,
            burnt: 0,
        };
        self.write_number_of(self.place(), Kind::Sent, &sent)
    }

    /// Burns the handshake generations that were used when the group was in this epoch before, or
    /// may have been by a lost state of the keystore. Fails with `EPOCH_EXHAUSTED`, and burns
    /// nothing, where others would not find the next commit: none of those made in this epoch was
    /// received by anybody.
    pub(crate) fn burn_handshakes(&mut self) -> Result<()> {
        let place = self.place();
        let sent = self.number_of(place, Kind::Handshakes)?;
        let mut gone = self.number_of(place, Kind::LeftHandshakes)?;
        let mut most = MAX_COMMITS_IN_EPOCH;
        if self.renewal_is_due()? {
            gone = gone.max(MAX_COMMITS_IN_EPOCH);
            most += MAX_RENEWALS_IN_EPOCH;
        }
        if sent.max(gone) >= most {
            return Err(too_many_commits(self.epoch()));
        }
        for _ in sent..gone {
            let signer = DummySigner(self.group.ciphersuite().signature_algorithm());
            // A proposal that nobody gets to see, and that is forgotten at once.
            let proposal = Propose::Remove(self.group.own_leaf_index().u32());
            let (_, reference) = self
                .provider
                .changing(Changes::Present, || {
                    let by_reference = ProposalOrRefType::Reference;
                    self.group.propose(self.provider, &signer, proposal, by_reference)
                })
                .map_err(|cause| Error::internal("a handshake generation could not be burnt").caused_by(cause))?;
            self.group
                .remove_pending_proposal(self.provider.storage(), &reference)
                .map_err(|cause| Error::internal("a burnt proposal could not be forgotten").caused_by(cause))?;
        }
        if sent < gone {
            self.write_number_of(place, Kind::Handshakes, &gone)?;
        }
        Ok(())
    }

    /// One more handshake is sent.
    pub(crate) fn count_handshake(&self) -> Result<()> {
        let place = self.place();
        let sent = self.number_of(place, Kind::Handshakes)?;
        self.write_number_of(place, Kind::Handshakes, &(sent + 1))
    }

    /// Whether a message of this client that nobody knows was made by a transaction that died: its generation is one of
    /// those that were reserved, and burnt or to be burnt.
    pub(crate) fn died_with_a_transaction(&self, epoch: u64, generation: u32) -> Result<bool> {
        if epoch == self.epoch() {
            let place = self.place();
            let sent = self.sent(place)?.count;
            if (sent..self.gone(place)?).contains(&generation) {
                return Ok(true);
            }
        }
        for (key, value) in self.provider.rows().list(Entity::Generations, &self.scope)? {
            let Some((kind, place)) = Place::of_key(&key) else {
                continue;
            };
            if kind != Kind::Burnt as u8 || place.epoch != epoch {
                continue;
            }
            let (from, to): (u32, u32) = decode_of(&self.scope, &value)?;
            if (from..to).contains(&generation) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The group is about to be deleted. Keeps only what is needed should it come back to the epoch in which it was joined.
    pub(crate) fn leave_generations(&self) -> Result<()> {
        self.prune_generations_before(self.epoch() + 1)?;
        for key in self.provider.rows().keys(Entity::Generations, &self.scope)? {
            if key.first() == Some(&(Kind::Burnt as u8)) {
                self.provider.rows().delete(Entity::Generations, &self.scope, &key);
            }
        }
        Ok(())
    }

    /// Forgets the epochs before the present one. Later ones stay: a transaction that was taken back may have been there, and
    /// have sent.
    pub(crate) fn prune_generations(&self) -> Result<()> {
        self.prune_generations_before(self.epoch())
    }

    fn prune_generations_before(&self, end: u64) -> Result<()> {
        let rows = self.provider.rows();
        let comes_back = self.row.welcome.as_ref().is_some_and(|welcome| welcome.last_resort);
        let mut left = Vec::new();
        for (key, value) in rows.list(Entity::Generations, &self.scope)? {
            let Some((kind, place)) = Place::of_key(&key) else {
                rows.delete(Entity::Generations, &self.scope, &key);
                continue;
            };
            if kind == Kind::Left as u8 || kind == Kind::LeftHandshakes as u8 {
                left.push((place.epoch, key));
                continue;
            }
            let is_over = place.epoch < end;
            if kind == Kind::Burnt as u8 {
                if place.epoch.saturating_add(PAST_EPOCHS) < end {
                    rows.delete(Entity::Generations, &self.scope, &key);
                }
                continue;
            }
            if !is_over {
                continue;
            }
            let (kept, number) = if kind == Kind::Sent as u8 {
                (Kind::Left, decode_of::<Sent>(&self.scope, &value)?.count)
            } else if kind == Kind::Handshakes as u8 {
                (Kind::LeftHandshakes, decode_of(&self.scope, &value)?)
            } else {
                let number = decode_of(&self.scope, &value)?;
                let sent = self.sent(place)?.count;
                if sent < number {
                    self.note_burnt(place, sent, number)?;
                }
                (Kind::Left, number)
            };
            if comes_back && place.epoch == self.row.joined && number > self.number_of(place, kept)? {
                self.write_number_of(place, kept, &number)?;
            }
            rows.delete(Entity::Generations, &self.scope, &key);
        }
        left.sort();
        for (_, key) in left.iter().rev().skip(MAX_RETURNS) {
            rows.delete(Entity::Generations, &self.scope, key);
        }
        Ok(())
    }

    fn note_burnt(&self, place: Place, from: u32, to: u32) -> Result<()> {
        let key = [place.key(Kind::Burnt), from.to_be_bytes().to_vec()].concat();
        self.provider.write(Entity::Generations, &self.scope, &key, &(from, to))
    }

    /// How many generations must not be used again. What this transaction has reserved itself is free, but for what it has used.
    fn gone(&self, place: Place) -> Result<u32> {
        let left = self.number_of(place, Kind::Left)?;
        let used = self
            .reserved
            .as_ref()
            .and_then(|reserved| reserved.used.get(&(self.scope.clone(), place)));
        let reserved = match used {
            Some(used) => *used,
            None => self.number_of(place, Kind::Reserved)?,
        };
        Ok(left.max(reserved))
    }

    fn place(&self) -> Place {
        let digest: [u8; 32] = Sha256::digest(self.group.epoch_authenticator().as_slice()).into();
        let mut incarnation = [0; 16];
        incarnation.copy_from_slice(&digest[..16]);
        Place {
            epoch: self.epoch(),
            incarnation,
        }
    }

    fn sent(&self, place: Place) -> Result<Sent> {
        let sent = self
            .provider
            .read(Entity::Generations, &self.scope, &place.key(Kind::Sent))?;
        Ok(sent.unwrap_or_default())
    }

    fn number_of(&self, place: Place, kind: Kind) -> Result<u32> {
        let number = self.provider.read(Entity::Generations, &self.scope, &place.key(kind))?;
        Ok(number.unwrap_or(0))
    }

    fn write_number_of(&self, place: Place, kind: Kind, value: &impl Serialize) -> Result<()> {
        self.provider
            .write(Entity::Generations, &self.scope, &place.key(kind), value)
    }
}

/// Ends a conversation whose group cannot be asked: whatever was used in any epoch stays used. What
/// cannot be read goes.
pub(crate) fn leave_all_generations(provider: &Provider, scope: &[u8]) -> Result<()> {
    drop_damaged_generations(provider, scope)?;
    let rows = provider.rows();
    let mut left: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for (key, value) in rows.list(Entity::Generations, scope)? {
        rows.delete(Entity::Generations, scope, &key);
        let Some((kind, place)) = Place::of_key(&key) else {
            continue;
        };
        let (kept, number) = match Kind::ALL.into_iter().find(|known| *known as u8 == kind) {
            Some(Kind::Sent) => (Kind::Left, decode_of::<Sent>(scope, &value)?.count),
            Some(Kind::Reserved | Kind::Left) => (Kind::Left, decode_of(scope, &value)?),
            Some(Kind::Handshakes | Kind::LeftHandshakes) => (Kind::LeftHandshakes, decode_of(scope, &value)?),
            Some(Kind::Burnt) | None => continue,
        };
        let before = left.entry(place.key(kept)).or_default();
        *before = number.max(*before);
    }
    let newest = |key: &Vec<u8>| Place::of_key(key).map(|(_, place)| place.epoch);
    let mut left: Vec<_> = left.into_iter().collect();
    left.sort_by_key(|(key, _)| std::cmp::Reverse(newest(key)));
    for (key, number) in left.iter().take(MAX_RETURNS) {
        provider.write(Entity::Generations, scope, key, number)?;
    }
    Ok(())
}

/// Deletes the rows of this kind that cannot be read.
pub(crate) fn drop_damaged_generations(provider: &Provider, scope: &[u8]) -> Result<()> {
    for key in provider.rows().keys(Entity::Generations, scope)? {
        let kind = Place::of_key(&key).and_then(|(kind, place)| {
            let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind)?;
            let length = place.key(kind).len() + if kind == Kind::Burnt { 4 } else { 0 };
            (key.len() == length).then_some(kind)
        });
        let read = |kind| -> Result<()> {
            match kind {
                Kind::Sent => provider.read::<Sent>(Entity::Generations, scope, &key).map(drop),
                Kind::Burnt => provider.read::<(u32, u32)>(Entity::Generations, scope, &key).map(drop),
                _ => provider.read::<u32>(Entity::Generations, scope, &key).map(drop),
            }
        };
        match kind.map(read) {
            Some(Ok(())) => {}
            Some(Err(error)) if error.code() != Code::ConversationCorrupt => return Err(error),
            _ => provider.rows().delete(Entity::Generations, scope, &key),
        }
    }
    Ok(())
}

fn exhausted(epoch: u64) -> Error {
    Error::new(
        Code::EpochExhausted,
        "No message can be encrypted in this epoch any more: so many were given up after their bytes had been handed out that \
         the others would not find the next one. Call updateKeys(), which begins a new epoch, and encrypt again.",
    )
    .at_epoch(epoch)
}

fn too_many_commits(epoch: u64) -> Error {
    Error::new(
        Code::EpochExhausted,
        "No commit can be made in this epoch any more: so many were refused by the server or given up that the others would not \
         find the next one. Receive the commit of another member, join from outside, or wipe the conversation and ask to be \
         invited again.",
    )
    .at_epoch(epoch)
}

/// Signs messages that are thrown away; a real signature would cost ten times the rest.
struct DummySigner(SignatureScheme);

impl Signer for DummySigner {
    fn sign(&self, _payload: &[u8]) -> std::result::Result<Vec<u8>, SignerError> {
        Ok(vec![0; 64])
    }

    fn signature_scheme(&self) -> SignatureScheme {
        self.0
    }
}
