//! No own ratchet generation is ever used twice (RFC 9420 section 6.3.1).
//!
//! Outside a transaction a message is stored before its bytes are handed out. Inside one the bytes are handed out first, and
//! the transaction may be taken back or die: so generations are *reserved*, durably and in blocks, keyed by group and epoch,
//! before they are used. When a group comes back to an epoch with fewer messages sent than reserved, the difference is
//! *burnt*: used up by messages that nobody gets to see.

use std::collections::HashMap;

use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;

use crate::conversation::Conversation;
use crate::conversation::known::{MessageId, remember_sent};
use crate::error::{Error, Result};
use crate::keystore::Entity;
use crate::provider::Provider;
use crate::storage::Changes;

/// How many generations are reserved at once. Receivers skip up to [`crate::limits::FORWARD`] in a row.
const BLOCK: u32 = 32;

/// What a transaction reserved and handed out, whatever becomes of it.
#[derive(Default)]
pub(crate) struct Reserved {
    /// The number of generations that it really used, by group and epoch.
    used: HashMap<(Vec<u8>, u64), u32>,
    /// Its messages, which must be known when they come back.
    sent: Vec<(Vec<u8>, u64, MessageId)>,
}

impl Reserved {
    /// The transaction is stored: what it sent is counted in the groups themselves. Except where it came back to a mark, or
    /// deleted the conversation: what it used stays reserved then.
    pub(crate) fn release(self, provider: &Provider) -> Result<()> {
        self.remember_sent(provider)?;
        for ((scope, epoch), used) in self.used {
            let sent: Option<u32> = provider.read(Entity::Generations, &scope, &sent_key(epoch))?;
            let reserved = reserved_key(epoch);
            if sent.unwrap_or(0) < used {
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
        for ((scope, epoch), used) in self.used {
            provider.write(Entity::Generations, &scope, &reserved_key(epoch), &used)?;
        }
        Ok(())
    }

    /// Of conversations that are there: a message may have been sent though the step that made it was taken back.
    fn remember_sent(&self, provider: &Provider) -> Result<()> {
        for (scope, epoch, id) in &self.sent {
            if provider.rows().get(Entity::Conversation, scope, &[])?.is_some() {
                remember_sent(provider, scope, *epoch, id)?;
            }
        }
        Ok(())
    }
}

impl Conversation<'_> {
    /// Burns what is reserved from before, so that the next message has a generation of its own. Answers how many were sent.
    pub(crate) fn burn_reserved(&mut self) -> Result<u32> {
        let (sent, gone) = (self.sent()?, self.gone()?);
        for _ in sent..gone {
            let signer = DummySigner(self.group.ciphersuite().signature_algorithm());
            self.provider
                .changing(Changes::Message, || {
                    self.group.create_message(self.provider, &signer, &[])
                })
                .map_err(|cause| Error::internal("a ratchet generation could not be burnt").caused_by(cause))?;
        }
        if sent < gone {
            self.store_sent(gone)?;
        }
        Ok(sent.max(gone))
    }

    /// Inside a transaction, makes sure that the generation after `sent` is never used again, whatever becomes of it.
    pub(crate) fn reserve(&mut self, sent: u32) -> Result<()> {
        if self.reserved.is_none() {
            return Ok(());
        }
        if sent >= self.reserved_before()? {
            let savepoint = self.provider.rows().savepoint();
            let key = reserved_key(self.epoch());
            self.provider
                .write(Entity::Generations, &self.scope, &key, &sent.saturating_add(BLOCK))?;
            self.provider.rows().flush_since(savepoint)?;
        }
        let used = (self.scope.clone(), self.epoch());
        if let Some(reserved) = &mut self.reserved {
            reserved.used.insert(used, sent + 1);
        }
        Ok(())
    }

    /// Inside a transaction, notes a message that is handed out.
    pub(crate) fn hand_out(&mut self, id: MessageId) {
        let message = (self.scope.clone(), self.epoch(), id);
        if let Some(reserved) = &mut self.reserved {
            reserved.sent.push(message);
        }
    }

    pub(crate) fn store_sent(&self, sent: u32) -> Result<()> {
        self.provider
            .write(Entity::Generations, &self.scope, &sent_key(self.epoch()), &sent)
    }

    /// Keeps only what is needed should the group, now about to be deleted, ever come back to its present epoch or a later one.
    pub(crate) fn leave_reservation(&self) -> Result<()> {
        let used = self.sent()?.max(self.reserved_before()?);
        self.prune_generations()?;
        for key in [sent_key(self.epoch()), reserved_key(self.epoch())] {
            self.provider.rows().delete(Entity::Generations, &self.scope, &key);
        }
        if used > 0 {
            self.provider
                .write(Entity::Generations, &self.scope, &reserved_key(self.epoch()), &used)?;
        }
        Ok(())
    }

    /// Forgets the epochs before the present one, to which the group cannot come back. Later ones stay: a transaction that was
    /// taken back may have been there, and have sent.
    pub(crate) fn prune_generations(&self) -> Result<()> {
        let present = self.epoch().to_be_bytes();
        for (key, _) in self.provider.rows().list(Entity::Generations, &self.scope)? {
            if key.get(1..).is_none_or(|epoch| epoch < present.as_slice()) {
                self.provider.rows().delete(Entity::Generations, &self.scope, &key);
            }
        }
        Ok(())
    }

    /// How many generations must not be used again. What this transaction has reserved itself is known to be free, but for what
    /// it has used.
    fn gone(&self) -> Result<u32> {
        let used = self
            .reserved
            .as_ref()
            .and_then(|reserved| reserved.used.get(&(self.scope.clone(), self.epoch())));
        used.map_or_else(|| self.reserved_before(), |used| Ok(*used))
    }

    fn sent(&self) -> Result<u32> {
        let count = self
            .provider
            .read(Entity::Generations, &self.scope, &sent_key(self.epoch()))?;
        Ok(count.unwrap_or(0))
    }

    fn reserved_before(&self) -> Result<u32> {
        let count = self
            .provider
            .read(Entity::Generations, &self.scope, &reserved_key(self.epoch()))?;
        Ok(count.unwrap_or(0))
    }
}

fn sent_key(epoch: u64) -> [u8; 9] {
    key(b's', epoch)
}

fn reserved_key(epoch: u64) -> [u8; 9] {
    key(b'r', epoch)
}

fn key(kind: u8, epoch: u64) -> [u8; 9] {
    let mut key = [kind; 9];
    key[1..].copy_from_slice(&epoch.to_be_bytes());
    key
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
