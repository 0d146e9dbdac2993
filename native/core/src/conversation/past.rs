//! Who sat at a leaf in an epoch gone by: a late message shows its sender as it was, even when the leaf belongs to somebody
//! else now.

use openmls::prelude::LeafNodeIndex;
use serde::{Deserialize, Serialize};

use crate::codec::decode;
use crate::conversation::Conversation;
use crate::error::Result;
use crate::keystore::Entity;
use crate::member::{Change, Member, member_at};

/// For how many epochs former members are kept. More than messages can be read for: a commit that was lost asks, when it is
/// built again, who was removed since.
const KEPT_EPOCHS: u64 = 64;

#[derive(Serialize, Deserialize)]
struct PastMember {
    member: Member,
    /// The last epoch in which the member was as told here.
    until: u64,
    /// Whether it was removed then; otherwise its signature key was replaced.
    removed: bool,
}

impl Conversation<'_> {
    /// Keeps those whom a commit of this epoch removed, or whose signature key it replaced, as they were in it. To be called
    /// before the commit is merged.
    pub(crate) fn keep_past_members(&self, change: &Change) -> Result<()> {
        let until = self.epoch();
        let removed = change.removed.iter().map(|member| PastMember {
            member: member.clone(),
            until,
            // Who joins anew from outside takes its own former leaf out: it is as little gone as who has new keys.
            removed: !change
                .added
                .iter()
                .any(|added| added.signature_key == member.signature_key),
        });
        let replaced = change.updated.iter().filter_map(|after| {
            let before = member_at(&self.group, LeafNodeIndex::new(after.leaf_index))?;
            (before != *after).then_some(PastMember {
                member: before,
                until,
                removed: false,
            })
        });
        for past in removed.chain(replaced) {
            let mut key = past.member.leaf_index.to_be_bytes().to_vec();
            key.extend_from_slice(&until.to_be_bytes());
            self.provider.write(Entity::PastMember, &self.scope, &key, &past)?;
        }
        Ok(())
    }

    /// The member who was at this leaf in that epoch.
    pub(crate) fn member_in_epoch(&self, leaf: LeafNodeIndex, epoch: u64) -> Result<Option<Member>> {
        if epoch < self.epoch() {
            let mut past = self.past_members()?.into_iter();
            if let Some(past) = past.find(|past| past.member.leaf_index == leaf.u32() && past.until >= epoch) {
                return Ok(Some(past.member));
            }
        }
        Ok(member_at(&self.group, leaf))
    }

    /// Whether this member was removed in that epoch or later, perhaps with another signature key than it had then.
    pub(crate) fn was_removed_since(&self, member: &Member, since: u64) -> Result<bool> {
        let same = |past: &Member| {
            past.signature_key == member.signature_key
                || (past.leaf_index == member.leaf_index && past.client_id == member.client_id)
        };
        let past = self.past_members()?;
        Ok(past
            .iter()
            .any(|past| past.removed && past.until >= since && same(&past.member)))
    }

    /// Whether this member has had that signature key before.
    pub(crate) fn has_borne(&self, member: &Member, signature_key: &[u8]) -> Result<bool> {
        let past = self.past_members()?;
        Ok(past.iter().any(|past| {
            !past.removed && past.member.client_id == member.client_id && past.member.signature_key == signature_key
        }))
    }

    /// Forgets those who are gone for long enough.
    pub(crate) fn prune_past_members(&self) -> Result<()> {
        for (key, value) in self.provider.rows().list(Entity::PastMember, &self.scope)? {
            let past: PastMember = decode(&value)?;
            if past.until.saturating_add(KEPT_EPOCHS) < self.epoch() {
                self.provider.rows().delete(Entity::PastMember, &self.scope, &key);
            }
        }
        Ok(())
    }

    /// Ordered by leaf, then by epoch.
    fn past_members(&self) -> Result<Vec<PastMember>> {
        let rows = self.provider.rows().list(Entity::PastMember, &self.scope)?;
        rows.iter().map(|(_, value)| decode(value)).collect()
    }
}
