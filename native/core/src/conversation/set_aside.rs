//! Proposals that were refused.
//!
//! This client commits none of them, and they keep nobody from sending. Another member may commit
//! them all the same: then the commit is judged as a whole, instead of waiting for ever for a
//! proposal that has come already.

use openmls::prelude::{QueuedProposal, Sender};
use openmls_traits::OpenMlsProvider;

use crate::codec::{decode_of, encode};
use crate::conversation::Conversation;
use crate::error::Result;
use crate::keystore::Entity;
use crate::limits::{MAX_SET_ASIDE, MAX_SET_ASIDE_BY_ONE, MAX_SET_ASIDE_BYTES};

/// The key of the row that says that something was left out. Keys of proposals are longer.
const LEFT_OUT: &[u8] = &[];

impl Conversation<'_> {
    /// Keeps a refused proposal for the rest of the epoch. Each member has room for some; so have all
    /// clients outside together.
    pub(crate) fn set_aside(&self, proposal: &QueuedProposal) -> Result<()> {
        let author = match proposal.sender() {
            Sender::Member(leaf) => leaf.u32(),
            _ => u32::MAX,
        };
        let author = author.to_be_bytes();
        let value = encode(proposal)?;
        let before = self.provider.rows().keys(Entity::SetAside, &self.scope)?;
        let of_author = before.iter().filter(|key| key.starts_with(&author)).count();
        if before.len() >= MAX_SET_ASIDE || of_author >= MAX_SET_ASIDE_BY_ONE || value.len() > MAX_SET_ASIDE_BYTES {
            self.note_left_out();
            return Ok(());
        }
        let key = [&author[..], proposal.proposal_reference_ref().as_slice()].concat();
        self.provider.rows().put(Entity::SetAside, &self.scope, &key, value);
        Ok(())
    }

    /// Notes that a refused proposal of this epoch was not kept. A commit that names one that is not here may name that one,
    /// and would wait for it for ever.
    pub(crate) fn note_left_out(&self) {
        self.provider
            .rows()
            .put(Entity::SetAside, &self.scope, LEFT_OUT, Vec::new());
    }

    /// Whether a refused proposal of this epoch was not kept.
    pub(crate) fn has_left_out(&self) -> Result<bool> {
        Ok(self
            .provider
            .rows()
            .get(Entity::SetAside, &self.scope, LEFT_OUT)?
            .is_some())
    }

    /// Hands the refused proposals to OpenMLS, for a commit that may name them; the caller takes that
    /// back. False where there are none.
    pub(crate) fn take_up_what_was_set_aside(&mut self) -> Result<bool> {
        let mut rows = self.provider.rows().list(Entity::SetAside, &self.scope)?;
        rows.retain(|(key, _)| key.as_slice() != LEFT_OUT);
        for (_, value) in &rows {
            let proposal: QueuedProposal = decode_of(&self.scope, value)?;
            self.group.store_pending_proposal(self.provider.storage(), proposal)?;
        }
        Ok(!rows.is_empty())
    }

    /// Proposals end with their epoch.
    pub(crate) fn forget_what_was_set_aside(&self) -> Result<()> {
        for key in self.provider.rows().keys(Entity::SetAside, &self.scope)? {
            self.provider.rows().delete(Entity::SetAside, &self.scope, &key);
        }
        Ok(())
    }
}
