//! Which of the pending proposals a commit takes along (RFC 9420 section 12.4).
//!
//! Others propose, and not all of it makes sense. What a commit cannot contain is left out of it, and ends with the epoch: no proposal
//! keeps a member from committing.

use std::collections::HashSet;

use openmls::prelude::hash_ref::ProposalRef;
use openmls::prelude::{LeafNode, LeafNodeIndex, Proposal, QueuedProposal, Sender};

use crate::conversation::Conversation;
use crate::conversation::intent::Work;
use crate::member::{identity, members};

impl Conversation<'_> {
    /// Whether somebody has proposed to remove this client, and there is somebody else to commit that. Whoever is to go leaves it to
    /// the others; but not to the one who has proposed it, who may have gone silent, nor to those who are to go as well.
    pub(crate) fn leaves_commit_to_others(&self) -> bool {
        let own = self.group.own_leaf_index();
        let mut no_help = HashSet::from([own]);
        let mut is_to_go = false;
        for queued in self.group.pending_proposals() {
            let Some(leaf) = removed_by(queued) else { continue };
            no_help.insert(leaf);
            if let (true, Sender::Member(proposer)) = (leaf == own, queued.sender()) {
                is_to_go = true;
                no_help.insert(*proposer);
            }
        }
        let mut others = members(&self.group).into_iter();
        is_to_go && others.any(|member| !no_help.contains(&LeafNodeIndex::new(member.leaf_index)))
    }

    /// The pending proposals that fit into a commit of this work and to each other. What the commit itself does is not done twice,
    /// nobody removes itself by its own commit, and a client is no member twice.
    pub(crate) fn fitting(&self, work: &Work) -> Vec<ProposalRef> {
        let mut gone: HashSet<LeafNodeIndex> = work.removes.iter().copied().collect();
        let mut fitting = Vec::new();
        for queued in self.group.pending_proposals() {
            let Some(leaf) = removed_by(queued) else { continue };
            let there = self.group.public_group().leaf(leaf).is_some();
            if there && leaf != self.group.own_leaf_index() && gone.insert(leaf) {
                fitting.push(queued.proposal_reference_ref().clone());
            }
        }
        let mut taken = Names::default();
        for member in members(&self.group) {
            if !gone.contains(&LeafNodeIndex::new(member.leaf_index)) {
                taken.identities.insert(member.client_id);
                taken.signature_keys.insert(member.signature_key);
            }
        }
        for package in &work.adds {
            taken.takes(package.leaf_node());
        }
        for queued in self.group.pending_proposals() {
            let fits = match queued.proposal() {
                Proposal::Remove(_) | Proposal::SelfRemove => false,
                Proposal::Add(add) => {
                    let (package, lifetime) = (add.key_package(), add.key_package().life_time());
                    lifetime.validate().is_ok() && lifetime.has_acceptable_range() && taken.takes(package.leaf_node())
                }
                _ => true,
            };
            if fits {
                fitting.push(queued.proposal_reference_ref().clone());
            }
        }
        fitting
    }
}

/// The names and keys that are in use.
#[derive(Default)]
struct Names {
    identities: HashSet<Vec<u8>>,
    signature_keys: HashSet<Vec<u8>>,
}

impl Names {
    /// Takes those of a leaf; false when somebody has one of them.
    fn takes(&mut self, leaf: &LeafNode) -> bool {
        let (name, key) = (identity(leaf.credential()), leaf.signature_key().as_slice().to_vec());
        if self.identities.contains(&name) || self.signature_keys.contains(&key) {
            return false;
        }
        self.identities.insert(name) && self.signature_keys.insert(key)
    }
}

fn removed_by(queued: &QueuedProposal) -> Option<LeafNodeIndex> {
    match (queued.proposal(), queued.sender()) {
        (Proposal::Remove(remove), _) => Some(remove.removed()),
        (Proposal::SelfRemove, Sender::Member(leaf)) => Some(*leaf),
        _ => None,
    }
}
