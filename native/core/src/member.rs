//! Members of a conversation and what a commit or proposal changes about them.

use openmls::prelude::{
    BasicCredential, Credential, LeafNode, LeafNodeIndex, MlsGroup, Proposal, QueuedProposal, Sender, StagedCommit,
};
use serde::{Deserialize, Serialize};

use crate::conversation::context::ContextPatch;
use crate::error::{Error, Result};

/// One leaf of the group's tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The identity bytes of its credential.
    pub client_id: Vec<u8>,
    /// Its place in the tree; a later member can take the place of one that was removed.
    pub leaf_index: u32,
    /// The public signature key.
    pub signature_key: Vec<u8>,
    /// The type of its credential (RFC 9420 section 17.5).
    pub credential_type: u16,
}

impl Member {
    pub(crate) fn of_leaf(index: LeafNodeIndex, leaf: &LeafNode) -> Self {
        Member {
            client_id: identity(leaf.credential()),
            leaf_index: index.u32(),
            signature_key: leaf.signature_key().as_slice().to_vec(),
            credential_type: leaf.credential().credential_type().into(),
        }
    }
}

/// What a commit or proposal changes: whom it adds, removes or gives new keys, and what else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// New members, at the leaf they get.
    pub added: Vec<Member>,
    /// Former members, as they were.
    pub removed: Vec<Member>,
    /// Members whose keys the commit was made to renew, or whose signature key it replaces, with their new keys.
    pub updated: Vec<Member>,
    /// What is no membership.
    pub other: Vec<OtherChange>,
}

/// A change that is no membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OtherChange {
    /// The group context becomes another one.
    Context(ContextPatch),
}

/// The identity bytes of a credential.
pub(crate) fn identity(credential: &Credential) -> Vec<u8> {
    BasicCredential::try_from(credential.clone()).map_or_else(
        |_| credential.serialized_content().to_vec(),
        |basic| basic.identity().to_vec(),
    )
}

/// The member at a leaf now.
pub(crate) fn member_at(group: &MlsGroup, leaf: LeafNodeIndex) -> Option<Member> {
    group.public_group().leaf(leaf).map(|node| Member::of_leaf(leaf, node))
}

/// All members, in the order of their leaves.
pub(crate) fn members(group: &MlsGroup) -> Vec<Member> {
    group
        .treesync()
        .full_leaves()
        .map(|(index, leaf)| Member::of_leaf(index, leaf))
        .collect()
}

/// What a staged commit changes, told before it is merged. `committer` is the leaf it came from.
pub(crate) fn change_of_commit(group: &MlsGroup, commit: &StagedCommit, committer: LeafNodeIndex) -> Change {
    let mut change = change_of_proposals(group, commit.queued_proposals());
    let path_only = commit.queued_proposals().next().is_none();
    if let Some(node) = commit.update_path_leaf_node() {
        let after = Member::of_leaf(committer, node);
        if path_only || member_at(group, committer).is_none_or(|before| before != after) {
            change.updated.push(after);
        }
    }
    change
}

/// What an external commit changes: somebody joins, perhaps in place of its own former leaf.
pub(crate) fn change_of_external_commit(group: &MlsGroup, commit: &StagedCommit) -> Result<Change> {
    let mut change = change_of_proposals(group, commit.queued_proposals());
    let leaf = commit
        .update_path_leaf_node()
        .ok_or_else(|| Error::internal("an external commit has no path"))?;
    let index = group
        .ext_commit_sender_index(commit)
        .map_err(|cause| Error::internal("an external commit has no leaf").caused_by(cause))?;
    change.added.push(Member::of_leaf(index, leaf));
    Ok(change)
}

/// What proposals change when they are committed together.
pub(crate) fn change_of_proposals<'a>(group: &MlsGroup, proposals: impl Iterator<Item = &'a QueuedProposal>) -> Change {
    let mut change = Change::default();
    let mut joining = Vec::new();
    for queued in proposals {
        match (queued.proposal(), queued.sender()) {
            (Proposal::Add(add), _) => joining.push(add.key_package().leaf_node()),
            (Proposal::Remove(remove), _) => change.removed.extend(member_at(group, remove.removed())),
            (Proposal::SelfRemove, Sender::Member(leaf)) => change.removed.extend(member_at(group, *leaf)),
            (Proposal::Update(update), Sender::Member(leaf)) => {
                change.updated.push(Member::of_leaf(*leaf, update.leaf_node()));
            }
            (Proposal::GroupContextExtensions(context), _) => {
                let patch = ContextPatch::between(group.extensions(), context.extensions());
                change.other.push(OtherChange::Context(patch));
            }
            _ => {}
        }
    }
    let leaves = free_leaves(group, &change.removed, joining.len());
    change.added = joining
        .into_iter()
        .zip(leaves)
        .map(|(leaf, index)| Member::of_leaf(index, leaf))
        .collect();
    change
}

/// The leaves that new members get: the leftmost blank ones after the removals, then new ones (RFC 9420 section 12.1.1).
fn free_leaves(group: &MlsGroup, removed: &[Member], count: usize) -> Vec<LeafNodeIndex> {
    if count == 0 {
        return Vec::new();
    }
    let taken: std::collections::HashSet<u32> = group
        .treesync()
        .full_leaves()
        .map(|(index, _)| index.u32())
        .filter(|index| !removed.iter().any(|member| member.leaf_index == *index))
        .collect();
    (0..u32::MAX)
        .filter(|index| !taken.contains(index))
        .take(count)
        .map(LeafNodeIndex::new)
        .collect()
}
