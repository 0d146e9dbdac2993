//! What is refused although OpenMLS finds it valid.

use std::collections::HashSet;

use openmls::prelude::{
    Extension, ExtensionType, Extensions, GroupContext, LeafNode, LeafNodeIndex, Proposal, ProposalType,
    QueuedProposal, Sender, StagedCommit,
};
use openmls_traits::OpenMlsProvider;

use crate::conversation::Conversation;
use crate::conversation::admit::{Door, Roster};
use crate::conversation::external_join::is_open;
use crate::conversation::hpke_key::written_key_can_be_encrypted_to;
use crate::conversation::stalled::StallCause;
use crate::conversation::verdict::Verdict;
use crate::error::Code;
use crate::limits::MAX_PROPOSALS_BY_ONE;
use crate::member::{Member, member_at};

impl Conversation<'_> {
    /// Why a proposal is not kept for a commit of this client, if it is not. A commit that names it
    /// is judged as a whole.
    pub(crate) fn refuses_to_keep(&self, queued: &QueuedProposal) -> Option<&'static str> {
        let of_sender = self.group.pending_proposals();
        let of_sender = of_sender.filter(|before| before.sender() == queued.sender());
        if of_sender.count() >= MAX_PROPOSALS_BY_ONE {
            return Some("Its sender has made so many proposals in this epoch that no more are kept.");
        }
        match queued.proposal() {
            // No commit could be built while it is pending: OpenMLS wants to have the key of each one.
            Proposal::PreSharedKey(_) => return Some("Pre-shared keys are not supported."),
            Proposal::Add(add) => {
                let gone = removed_leaves(self.group.pending_proposals());
                let admitted = Roster::of(&self.group, &gone).admit(add.key_package().leaf_node(), Door::Add);
                if let Err(refusal) = admitted {
                    return Some(refusal.reason(Door::Add));
                }
            }
            Proposal::Update(update) => {
                if let Sender::Member(leaf) = queued.sender() {
                    let before = member_at(&self.group, *leaf)?;
                    let door = Door::Renewal(&before);
                    let admitted = Roster::of(&self.group, &HashSet::new()).admit(update.leaf_node(), door);
                    if let Err(refusal) = admitted {
                        return Some(refusal.reason(door));
                    }
                }
            }
            Proposal::GroupContextExtensions(change) => {
                let mut leaves = self.group.treesync().full_leaves().map(|(_, leaf)| leaf);
                if leaves.any(|leaf| !supports(leaf, change.extensions())) {
                    return Some(UNSUPPORTED_CONTEXT);
                }
            }
            _ => {}
        }
        self.refuses_proposal(queued)
    }

    /// Why a proposal is not accepted, committed or not, if it is not.
    fn refuses_proposal(&self, queued: &QueuedProposal) -> Option<&'static str> {
        match (queued.proposal(), queued.sender()) {
            (_, Sender::External(_) | Sender::NewMemberProposal) => {
                Some("A proposal came from outside the conversation, which does not accept it.")
            }
            (Proposal::ExternalInit(_), _) => {
                Some("A member proposes what only a client that joins from outside can commit.")
            }
            (Proposal::GroupContextExtensions(change), _) if change.extensions().external_senders().is_some() => {
                Some("A proposal lets somebody propose from outside, which is not supported.")
            }
            (Proposal::ReInit(_), _) => Some("The re-initialisation of a conversation is not supported."),
            _ => None,
        }
    }

    /// Why a commit is not merged, if it is not.
    pub(crate) fn refuses_commit(&self, commit: &StagedCommit, sender: &Sender) -> Option<Verdict> {
        let Sender::Member(committer) = sender else {
            return self
                .refuses_external_commit(commit)
                .map(|reason| Verdict::Refused(Code::ExternalJoinRefused, reason));
        };
        commit
            .queued_proposals()
            .find_map(|queued| self.refuses_proposal(queued))
            .or_else(|| self.refuses_leaves(commit, *committer))
            .or_else(|| self.refuses_context(commit, *committer))
            .map(|reason| Verdict::Stalls(StallCause::Refused, reason))
    }

    /// The leaves that a member's commit brings must all be let in: those of its proposals, by value
    /// and by reference, and that of its path.
    fn refuses_leaves(&self, commit: &StagedCommit, committer: LeafNodeIndex) -> Option<&'static str> {
        let mut roster = Roster::of(&self.group, &removed_leaves(commit.queued_proposals()));
        let path = commit.update_path_leaf_node().map(|leaf| (committer, leaf));
        for (index, leaf) in commit.queued_proposals().filter_map(renewed_by).chain(path) {
            let before = member_at(&self.group, index)?;
            if let Some(reason) = self.refuses_leaf(&mut roster, leaf, Door::Renewal(&before)) {
                return Some(reason);
            }
        }
        let mut added = commit.queued_proposals().filter_map(added_by);
        added.find_map(|leaf| self.refuses_leaf(&mut roster, leaf, Door::Add))
    }

    fn refuses_leaf(&self, roster: &mut Roster, leaf: &LeafNode, door: Door<'_>) -> Option<&'static str> {
        if let Err(refusal) = roster.admit(leaf, door) {
            return Some(refusal.reason(door));
        }
        let usable = self.can_be_encrypted_to(leaf.encryption_key());
        (!usable).then_some(UNUSABLE_KEY)
    }

    /// A client that joins from outside may take the place of a leaf with its own signature key, and
    /// of no other. Leaves whose owners have proposed to go themselves may go with it.
    fn refuses_external_commit(&self, commit: &StagedCommit) -> Option<&'static str> {
        if !is_open(&self.group) {
            return Some("A client tries to join by an external commit, which this conversation does not allow.");
        }
        let replaced: Vec<Member> = commit
            .remove_proposals()
            .filter_map(|queued| member_at(&self.group, queued.remove_proposal().removed()))
            .collect();
        let mut roster = Roster::of(&self.group, &removed_leaves(commit.queued_proposals()));
        let leaf = commit.update_path_leaf_node()?;
        self.refuses_leaf(&mut roster, leaf, Door::ExternalJoin(&replaced))
    }

    /// After a commit that changes the group context all leaves must support the new one, or nobody
    /// whose leaf does not could ever commit again (RFC 9420 sections 7.3 and 12.1.7).
    fn refuses_context(&self, commit: &StagedCommit, committer: LeafNodeIndex) -> Option<&'static str> {
        let changes = |queued: &QueuedProposal| matches!(queued.proposal(), Proposal::GroupContextExtensions(_));
        if !commit.queued_proposals().any(changes) {
            return None;
        }
        let mut replaced = removed_leaves(commit.queued_proposals());
        let mut leaves = Vec::new();
        let path = commit.update_path_leaf_node().map(|leaf| (committer, leaf));
        for (index, leaf) in commit.queued_proposals().filter_map(renewed_by).chain(path) {
            replaced.insert(index);
            leaves.push(leaf);
        }
        leaves.extend(commit.queued_proposals().filter_map(added_by));
        let staying = self.group.treesync().full_leaves();
        leaves.extend(
            staying
                .filter(|(index, _)| !replaced.contains(index))
                .map(|(_, leaf)| leaf),
        );
        let context = commit.group_context().extensions();
        let all = leaves.into_iter().all(|leaf| supports(leaf, context));
        (!all).then_some(UNSUPPORTED_CONTEXT)
    }

    /// Why a commit that is merged already has to be taken back: its path has put a key into the tree
    /// that nothing can be encrypted to, so that this client could not commit any more. Members below
    /// such a node compare the key with their own; the others cannot (RFC 9420 section 7.5).
    pub(crate) fn refuses_new_path(&self, committer: LeafNodeIndex, sender: &Sender) -> Option<Verdict> {
        let mut above = self.group.treesync().full_parents();
        let unusable =
            above.any(|(parent, node)| is_above(parent.u32(), committer.u32()) && !self.can_be_encrypted_to(node));
        unusable.then(|| match sender {
            Sender::Member(_) => Verdict::Stalls(StallCause::Refused, UNUSABLE_KEY),
            _ => Verdict::Refused(Code::ExternalJoinRefused, UNUSABLE_KEY),
        })
    }

    fn can_be_encrypted_to(&self, begins_with_key: &impl tls_codec::Serialize) -> bool {
        written_key_can_be_encrypted_to(self.provider.crypto(), self.group.ciphersuite(), begins_with_key)
    }
}

/// Whether the parent node with this number is above this leaf (RFC 9420 appendix C).
fn is_above(parent: u32, leaf: u32) -> bool {
    let node = u64::from(parent) * 2 + 1;
    let level = node.trailing_ones();
    node >> (level + 1) == u64::from(leaf) >> level
}

const UNSUPPORTED_CONTEXT: &str =
    "The group context asks for something that a member cannot do, who could not commit any more.";
const UNUSABLE_KEY: &str =
    "A key is put into the tree that nothing can be encrypted to, so that no commit could be made any more.";

/// The leaves that these proposals remove.
pub(crate) fn removed_leaves<'a>(proposals: impl Iterator<Item = &'a QueuedProposal>) -> HashSet<LeafNodeIndex> {
    proposals.filter_map(removed_by).collect()
}

/// The leaf that a proposal removes.
pub(crate) fn removed_by(queued: &QueuedProposal) -> Option<LeafNodeIndex> {
    match (queued.proposal(), queued.sender()) {
        (Proposal::Remove(remove), _) => Some(remove.removed()),
        (Proposal::SelfRemove, Sender::Member(leaf)) => Some(*leaf),
        _ => None,
    }
}

/// The leaf that a proposal adds.
fn added_by(queued: &QueuedProposal) -> Option<&LeafNode> {
    match queued.proposal() {
        Proposal::Add(add) => Some(add.key_package().leaf_node()),
        _ => None,
    }
}

/// The leaf that a proposal renews, and what it becomes.
fn renewed_by(queued: &QueuedProposal) -> Option<(LeafNodeIndex, &LeafNode)> {
    match (queued.proposal(), queued.sender()) {
        (Proposal::Update(update), Sender::Member(leaf)) => Some((*leaf, update.leaf_node())),
        _ => None,
    }
}

/// Whether a leaf can be in a group of this context: it knows each extension, and has all three
/// kinds of required capabilities (RFC 9420 sections 7.2 and 11.1).
fn supports(leaf: &LeafNode, context: &Extensions<GroupContext>) -> bool {
    let capabilities = leaf.capabilities();
    let knows = |kind: &ExtensionType| is_known_by_all(*kind) || capabilities.extensions().contains(kind);
    let knows_all = context.iter().map(Extension::extension_type).all(|kind| knows(&kind));
    knows_all
        && context.required_capabilities().is_none_or(|required| {
            required.extension_types().iter().all(knows)
                && required
                    .proposal_types()
                    .iter()
                    .all(|kind| is_proposed_by_all(*kind) || capabilities.proposals().contains(kind))
                && required
                    .credential_types()
                    .iter()
                    .all(|kind| capabilities.credentials().contains(kind))
        })
}

/// The extension types that RFC 9420 defines need not be listed (section 7.2); GREASE means nothing
/// (section 13.5).
pub(crate) fn is_known_by_all(kind: ExtensionType) -> bool {
    matches!(
        kind,
        ExtensionType::ApplicationId
            | ExtensionType::RatchetTree
            | ExtensionType::RequiredCapabilities
            | ExtensionType::ExternalPub
            | ExtensionType::ExternalSenders
            | ExtensionType::Grease(_)
    )
}

/// The same for proposal types.
fn is_proposed_by_all(kind: ProposalType) -> bool {
    matches!(
        kind,
        ProposalType::Add
            | ProposalType::Update
            | ProposalType::Remove
            | ProposalType::PreSharedKey
            | ProposalType::Reinit
            | ProposalType::ExternalInit
            | ProposalType::GroupContextExtensions
            | ProposalType::Grease(_)
    )
}

#[cfg(test)]
mod tests {
    use super::is_above;

    #[test]
    fn parents_are_above_the_leaves_of_their_subtree() {
        // RFC 9420 appendix C: nodes 1, 3, 5 and 7 are the parents 0, 1, 2 and 3.
        let above = |parent| (0..8).filter(|leaf| is_above(parent, *leaf)).collect::<Vec<_>>();
        assert_eq!(above(0), [0, 1]);
        assert_eq!(above(1), [0, 1, 2, 3]);
        assert_eq!(above(2), [2, 3]);
        assert_eq!(above(3), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(above(5), [4, 5, 6, 7]);
    }
}
