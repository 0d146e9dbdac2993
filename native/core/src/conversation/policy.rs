//! What is refused although it may be well-formed, and what OpenMLS' refusals mean.

use openmls::framing::errors::{MessageDecryptionError, SecretTreeError};
use openmls::group::{MlsGroupStateError, ProcessMessageError, StageCommitError, ValidationError};
use openmls::prelude::{CredentialType, LeafNode, Proposal, QueuedProposal, Sender, StagedCommit};

use crate::conversation::Conversation;
use crate::conversation::external_join::{EXTERNAL_JOIN, allows};
use crate::conversation::received::{Ignored, Unreadable, WaitingFor, What};
use crate::error::{Code, Error, Result};
use crate::member::{Member, change_of_proposals, identity, member_at, members};

/// What processing a message came to.
pub(crate) enum Verdict {
    /// Received, or known to be of no consequence.
    Received(What),
    /// It may become good later.
    Wait(WaitingFor),
    /// It will never be good.
    Refused(Code, &'static str),
    /// Nothing is known about it: something local failed.
    Failed(Error),
}

impl Verdict {
    /// What is told of it. Waiting is told by whoever keeps the message.
    pub(crate) fn into_what(self) -> Result<What> {
        match self {
            Verdict::Received(what) => Ok(what),
            Verdict::Refused(code, reason) => Ok(What::Rejected(code, reason)),
            Verdict::Failed(error) => Err(error),
            Verdict::Wait(_) => Err(Error::internal("a message that has to wait was not kept")),
        }
    }
}

/// What a refusal by OpenMLS means.
pub(crate) fn verdict(cause: ProcessMessageError<Error>) -> Verdict {
    let invalid = |reason| Verdict::Refused(Code::MessageInvalid, reason);
    match cause {
        ProcessMessageError::StorageError(error) => Verdict::Failed(error),
        ProcessMessageError::InvalidCommit(StageCommitError::MissingProposal) => Verdict::Wait(WaitingFor::Proposal),
        ProcessMessageError::InvalidCommit(_) => invalid("The commit is not valid."),
        ProcessMessageError::GroupStateError(MlsGroupStateError::UseAfterEviction) => {
            Verdict::Received(What::Unreadable(Unreadable::Removed))
        }
        ProcessMessageError::ValidationError(ValidationError::UnableToDecrypt(
            MessageDecryptionError::SecretTreeError(cause),
        )) => match cause {
            SecretTreeError::SecretReuseError => Verdict::Received(What::Ignored(Ignored::Duplicate)),
            SecretTreeError::TooDistantInThePast | SecretTreeError::TooDistantInTheFuture => {
                Verdict::Received(What::Unreadable(Unreadable::OutsideWindow))
            }
            _ => invalid("The message could not be decrypted."),
        },
        ProcessMessageError::ValidationError(ValidationError::NoPastEpochData) => {
            Verdict::Received(What::Unreadable(Unreadable::EpochTooOld))
        }
        ProcessMessageError::ValidationError(ValidationError::UnableToDecrypt(_)) => {
            invalid("The message could not be decrypted: it was damaged or forged on the way.")
        }
        ProcessMessageError::ValidationError(ValidationError::InvalidSignature) => {
            invalid("The signature of the message is not its sender's.")
        }
        _ => invalid("The message is not valid in this conversation."),
    }
}

impl Conversation<'_> {
    /// Why a proposal is not kept for a commit, if it is not.
    pub(crate) fn refuses_to_keep(&self, queued: &QueuedProposal) -> Option<Verdict> {
        if matches!(queued.proposal(), Proposal::PreSharedKey(_)) {
            // No commit could be built while it is pending: OpenMLS wants to have the key of each one.
            let reason = "Pre-shared keys are not supported.";
            return Some(Verdict::Refused(Code::MessageInvalid, reason));
        }
        self.refuses_proposal(queued)
    }

    /// Why a proposal is not accepted, committed or not, if it is not.
    fn refuses_proposal(&self, queued: &QueuedProposal) -> Option<Verdict> {
        let refused = |reason| Some(Verdict::Refused(Code::MessageInvalid, reason));
        match (queued.proposal(), queued.sender()) {
            (Proposal::Add(add), _)
                if add.key_package().leaf_node().credential().credential_type() != CredentialType::Basic =>
            {
                refused("A proposal adds a client whose credential is not a basic one.")
            }
            (Proposal::Update(update), Sender::Member(leaf)) => {
                let before = member_at(&self.group, *leaf)?;
                refused(changed_identity(&before, update.leaf_node())?)
            }
            (Proposal::ExternalInit(_), _) => refused("A member proposes what only who joins from outside can commit."),
            (Proposal::GroupContextExtensions(change), _)
                if change.extensions().unknown(EXTERNAL_JOIN) != self.group.extensions().unknown(EXTERNAL_JOIN) =>
            {
                refused("A proposal changes who may join from outside, which is decided for good.")
            }
            (Proposal::GroupContextExtensions(change), _) if change.extensions().external_senders().is_some() => {
                refused("A proposal lets somebody propose from outside, which is not supported.")
            }
            (Proposal::ReInit(_), _) => refused("The re-initialisation of a conversation is not supported."),
            _ => None,
        }
    }

    /// Why a commit is not merged, if it is not.
    pub(crate) fn refuses_commit(&self, commit: &StagedCommit, sender: &Sender) -> Option<Verdict> {
        let Sender::Member(committer) = sender else {
            return self.refuses_external_commit(commit);
        };
        if let Some(refusal) = commit
            .queued_proposals()
            .find_map(|queued| self.refuses_proposal(queued))
        {
            return Some(refusal);
        }
        let before = member_at(&self.group, *committer)?;
        let reason = changed_identity(&before, commit.update_path_leaf_node()?)?;
        Some(Verdict::Refused(Code::MessageInvalid, reason))
    }

    /// Whoever joins from outside may take the place of its own former leaf, and of nobody else's.
    fn refuses_external_commit(&self, commit: &StagedCommit) -> Option<Verdict> {
        let refused = |reason| Some(Verdict::Refused(Code::ExternalJoinRefused, reason));
        if !allows(self.group.extensions().unknown(EXTERNAL_JOIN)) {
            return refused("Somebody tries to join by an external commit, which this conversation does not allow.");
        }
        let joiner = commit.update_path_leaf_node()?;
        if joiner.credential().credential_type() != CredentialType::Basic {
            return refused("Somebody tries to join whose credential is not a basic one.");
        }
        let client_id = identity(joiner.credential());
        let replaced = change_of_proposals(&self.group, commit.queued_proposals()).removed;
        if replaced.iter().any(|member| member.client_id != client_id) {
            return refused("Somebody tries to remove another member while joining.");
        }
        let stays = |member: &Member| member.client_id == client_id && !replaced.contains(member);
        if members(&self.group).iter().any(stays) {
            return refused("Somebody tries to join under the name of a member, with another key.");
        }
        None
    }
}

/// Why a member's new leaf is refused, if it is: it may have another signature key, but belongs to the same client.
fn changed_identity(before: &Member, leaf: &LeafNode) -> Option<&'static str> {
    if leaf.credential().credential_type() != CredentialType::Basic {
        return Some("A member takes a credential that is not a basic one.");
    }
    (identity(leaf.credential()) != before.client_id).then_some("A member tries to take another identity.")
}
