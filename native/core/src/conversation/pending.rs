//! Which of the pending proposals a commit takes along (RFC 9420 section 12.4).
//!
//! Others propose, and not all of it makes sense. What a commit cannot contain is left out of it, and ends with the epoch: no proposal
//! keeps a member from committing.

use std::collections::HashSet;

use openmls::prelude::hash_ref::ProposalRef;
use openmls::prelude::{LeafNodeIndex, Proposal, Sender};

use crate::conversation::Conversation;
use crate::conversation::admit::{Door, Roster};
use crate::conversation::intent::Work;
use crate::conversation::policy::removed_by;
use crate::key_package::lifetime::refuses_to_add;
use crate::member::{member_at, members};

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
    /// nobody removes itself by its own commit, a client is no member twice, and nobody is added by a key package whose time is not
    /// now.
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
        let mut roster = Roster::of(&self.group, &gone);
        for addition in &work.adds {
            // Judged when the work was made; here only its name and key are taken.
            let _ = roster.admit(addition.key_package.leaf_node(), Door::Add);
        }
        let now_secs = self.provider.clock().now_secs();
        for queued in self.group.pending_proposals() {
            let fits = match (queued.proposal(), queued.sender()) {
                (Proposal::Remove(_) | Proposal::SelfRemove, _) => false,
                (Proposal::Add(add), _) => {
                    let package = add.key_package();
                    let in_time = refuses_to_add(package.life_time(), now_secs).is_none();
                    in_time && roster.admit(package.leaf_node(), Door::Add).is_ok()
                }
                (Proposal::Update(update), Sender::Member(leaf)) => member_at(&self.group, *leaf)
                    .is_some_and(|before| roster.admit(update.leaf_node(), Door::Renewal(&before)).is_ok()),
                _ => true,
            };
            if fits {
                fitting.push(queued.proposal_reference_ref().clone());
            }
        }
        fitting
    }
}
