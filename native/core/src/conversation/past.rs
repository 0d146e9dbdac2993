//! Who sat at a leaf in an epoch gone by: a late message shows its sender as it was, even when the leaf belongs to somebody
//! else now.

//!
//! All that is asked but the member itself stands in the key of its row, so that nobody is decoded
//! who is not wanted.

use openmls::prelude::LeafNodeIndex;
use sha2::{Digest, Sha256};

use crate::conversation::Conversation;
use crate::error::{Error, Result};
use crate::keystore::Entity;
use crate::limits::{MAX_PAST_MEMBERS, PAST_EPOCHS};
use crate::member::{Change, Member, member_at};

/// For how many epochs former members are kept. More than messages can be read for: a commit that was lost asks, when it is
/// built again, who was removed since.
const KEPT_EPOCHS: u64 = 64;

/// Who somebody was, for comparison: the beginning of a SHA-256.
type Mark = [u8; 16];

/// A member as it was; the key of its row.
#[derive(Clone, Copy)]
struct Past {
    /// The last epoch in which the member was as told here.
    until: u64,
    leaf: u32,
    /// Whether it was removed then; otherwise its signature key was replaced.
    removed: bool,
    signature_key: Mark,
    client_id: Mark,
}

/// The former members of a conversation, those who are gone for longest first.
pub(crate) struct PastMembers(Vec<Past>);

impl Past {
    /// Numbers are big-endian, so that rows are in the order of their epochs.
    fn key(&self) -> Vec<u8> {
        [
            &self.until.to_be_bytes()[..],
            &self.leaf.to_be_bytes(),
            &[u8::from(self.removed)],
            &self.signature_key,
            &self.client_id,
        ]
        .concat()
    }

    fn of_key(key: &[u8]) -> Option<Past> {
        let (until, rest) = key.split_first_chunk()?;
        let (leaf, rest) = rest.split_first_chunk()?;
        let ([removed], rest) = rest.split_first_chunk()?;
        let (signature_key, client_id) = rest.split_first_chunk()?;
        Some(Past {
            until: u64::from_be_bytes(*until),
            leaf: u32::from_be_bytes(*leaf),
            removed: *removed != 0,
            signature_key: *signature_key,
            client_id: client_id.try_into().ok()?,
        })
    }
}

impl PastMembers {
    /// Whether this member was removed in that epoch or later, perhaps with another signature key
    /// than it had then.
    pub(crate) fn was_removed_since(&self, member: &Member, since: u64) -> bool {
        let (signature_key, client_id) = (mark(&member.signature_key), mark(&member.client_id));
        self.0.iter().any(|past| {
            let same_leaf = past.leaf == member.leaf_index && past.client_id == client_id;
            past.removed && past.until >= since && (past.signature_key == signature_key || same_leaf)
        })
    }

    /// Whether this member has had that signature key before.
    pub(crate) fn has_borne(&self, member: &Member, signature_key: &[u8]) -> bool {
        let (signature_key, client_id) = (mark(signature_key), mark(&member.client_id));
        self.0
            .iter()
            .any(|past| !past.removed && past.client_id == client_id && past.signature_key == signature_key)
    }
}

impl Conversation<'_> {
    /// Keeps those whom a commit of this epoch removed, or whose signature key it replaced, as they were in it. To be called
    /// before the commit is merged.
    pub(crate) fn keep_past_members(&self, change: &Change) -> Result<()> {
        let removed = change.removed.iter().map(|member| {
            // Who joins anew from outside takes its own former leaf out: it is as little gone as who has new keys.
            let is_back = |added: &Member| added.signature_key == member.signature_key;
            (member.clone(), !change.added.iter().any(is_back))
        });
        let replaced = change.updated.iter().filter_map(|after| {
            let before = member_at(&self.group, LeafNodeIndex::new(after.leaf_index))?;
            (before != *after).then_some((before, false))
        });
        for (member, removed) in removed.chain(replaced) {
            let past = Past {
                until: self.epoch(),
                leaf: member.leaf_index,
                removed,
                signature_key: mark(&member.signature_key),
                client_id: mark(&member.client_id),
            };
            self.provider
                .write(Entity::PastMember, &self.scope, &past.key(), &member)?;
        }
        Ok(())
    }

    /// The member who was at this leaf in that epoch.
    pub(crate) fn member_in_epoch(&self, leaf: LeafNodeIndex, epoch: u64) -> Result<Option<Member>> {
        if epoch < self.epoch() {
            let PastMembers(past) = self.past_members()?;
            let at_leaf = |past: &&Past| past.leaf == leaf.u32() && past.until >= epoch;
            if let Some(past) = past.iter().find(at_leaf) {
                return self.provider.read(Entity::PastMember, &self.scope, &past.key());
            }
        }
        Ok(member_at(&self.group, leaf))
    }

    /// Forgets those who are gone for long enough, and of too many those who are gone for longest;
    /// but nobody whose messages can still be read.
    pub(crate) fn prune_past_members(&self) -> Result<()> {
        let PastMembers(past) = self.past_members()?;
        let too_many = past.len().saturating_sub(MAX_PAST_MEMBERS);
        for (place, past) in past.iter().enumerate() {
            let kept = if place < too_many { PAST_EPOCHS } else { KEPT_EPOCHS };
            if past.until.saturating_add(kept) >= self.epoch() {
                break;
            }
            self.provider
                .rows()
                .delete(Entity::PastMember, &self.scope, &past.key());
        }
        Ok(())
    }

    /// Everybody who is remembered.
    pub(crate) fn past_members(&self) -> Result<PastMembers> {
        let keys = self.provider.rows().keys(Entity::PastMember, &self.scope)?;
        let past = keys.iter().map(|key| Past::of_key(key));
        let past: Option<Vec<Past>> = past.collect();
        past.map(PastMembers).ok_or_else(|| Error::damaged(&self.scope))
    }
}

fn mark(of: &[u8]) -> Mark {
    let digest: [u8; 32] = Sha256::digest(of).into();
    let mut mark = Mark::default();
    mark.copy_from_slice(&digest[..size_of::<Mark>()]);
    mark
}
