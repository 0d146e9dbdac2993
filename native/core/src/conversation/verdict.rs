//! What processing a message came to, and what OpenMLS' refusals mean.

use openmls::framing::errors::{MessageDecryptionError, SecretTreeError};
use openmls::group::{
    ExternalCommitValidationError, GroupContextExtensionsProposalValidationError, MlsGroupStateError,
    ProcessMessageError, ProposalValidationError, StageCommitError, ValidationError,
};
use openmls::prelude::{ContentType, QueuedProposal};
use openmls::treesync::errors::ApplyUpdatePathError;

use crate::conversation::buffer::Share;
use crate::conversation::framed::Framed;
use crate::conversation::received::{Ignored, Unreadable, WaitingFor, What};
use crate::conversation::stalled::StallCause;
use crate::error::{Code, Error, Result};

/// What processing a message came to.
pub(crate) enum Verdict {
    /// Received, or known to be of no consequence.
    Received(What),
    /// It may become good later. Until then it takes this room.
    Wait(WaitingFor, Share),
    /// It will never be good. Nothing says that a member has sent it.
    Refused(Code, &'static str),
    /// A member has signed this commit, and it is not applied here: others may have gone on with it.
    Stalls(StallCause, &'static str),
    /// A proposal that is not kept for a commit of this client. A commit of another may name it.
    SetAside(Box<QueuedProposal>, &'static str),
    /// A proposal of a member that OpenMLS does not take. A commit may name it all the same.
    LeftOut(&'static str),
    /// The message claims to come from this client, at this generation of its ratchet.
    Own(u32),
    /// It cannot be decrypted any more. It is lost, unless it is known what became of it.
    OutOfReach(Unreadable),
    /// Nothing is known about it: something local failed.
    Failed(Error),
}

impl Verdict {
    /// What is told of it. The caller that keeps or looks up messages has dealt with the other verdicts.
    pub(crate) fn into_what(self) -> Result<What> {
        match self {
            Verdict::Received(what) => Ok(what),
            Verdict::Refused(code, reason) => Ok(What::Rejected(code, reason)),
            Verdict::Stalls(_, reason) => Ok(What::Rejected(Code::MessageInvalid, reason)),
            Verdict::OutOfReach(why) => Ok(What::Unreadable(why)),
            Verdict::Failed(error) => Err(error),
            Verdict::SetAside(..) | Verdict::LeftOut(_) => Err(Error::internal("a proposal was not set aside")),
            Verdict::Own(_) => Err(Error::internal("an own message was not looked up")),
            Verdict::Wait(..) => Err(Error::internal("a message that has to wait was not kept")),
        }
    }
}

/// What a refusal by OpenMLS means. `open` is whether the conversation lets clients join from outside.
pub(crate) fn verdict(framed: &Framed<'_>, cause: ProcessMessageError<Error>, open: bool) -> Verdict {
    let invalid = |reason| Verdict::Refused(Code::MessageInvalid, reason);
    match cause {
        ProcessMessageError::StorageError(error) => Verdict::Failed(error),
        ProcessMessageError::InvalidCommit(StageCommitError::MissingProposal { committer }) => {
            let share = committer.map_or(Share::Anybody, |leaf| Share::Member(leaf.u32()));
            Verdict::Wait(WaitingFor::Proposal, share)
        }
        // OpenMLS has verified the signature of a commit that it finds invalid.
        ProcessMessageError::InvalidCommit(cause) if is_of_a_member(framed) => {
            if everybody_refuses(&cause) {
                Verdict::Stalls(
                    StallCause::Invalid,
                    "The commit of a member breaks the protocol: no client applies it.",
                )
            } else {
                Verdict::Stalls(
                    StallCause::Refused,
                    "The commit of a member cannot be applied here; others may have applied it.",
                )
            }
        }
        // A client that may join can make a commit whose secret opens for some members only.
        ProcessMessageError::InvalidCommit(StageCommitError::UpdatePathError(cause))
            if open && opens_for_some(&cause) =>
        {
            Verdict::Stalls(
                StallCause::Refused,
                "The commit of a client that joins from outside cannot be opened here; others may have applied it.",
            )
        }
        ProcessMessageError::InvalidCommit(_) => invalid("The commit is not valid."),
        ProcessMessageError::ValidationError(cause) if is_of_a_member(framed) && was_verified(&cause) => {
            Verdict::Stalls(
                StallCause::Refused,
                "The commit of a member has contents that are not valid here; others may have applied it.",
            )
        }
        ProcessMessageError::ValidationError(cause) if is_a_members_proposal(framed) && was_verified(&cause) => {
            Verdict::LeftOut("The proposal of a member has contents that are not valid.")
        }
        ProcessMessageError::GroupStateError(MlsGroupStateError::UseAfterEviction) => {
            Verdict::Received(What::Unreadable(Unreadable::Removed))
        }
        ProcessMessageError::ValidationError(ValidationError::UnableToDecrypt(
            MessageDecryptionError::SecretTreeError(cause),
        )) => match cause {
            // Only members can name a generation, and only they see to it that a commit is out of reach of some of them.
            cause if is_out_of_reach(&cause) && is_of_a_member(framed) => Verdict::Stalls(
                StallCause::Refused,
                match cause {
                    SecretTreeError::SecretReuseError => {
                        "The key of a member's commit was used here for another message; others may have applied it."
                    }
                    SecretTreeError::TooDistantInThePast => {
                        "The key of a member's commit is deleted here by now; others may have applied it."
                    }
                    _ => "The key of a member's commit is too far ahead; others may have applied it.",
                },
            ),
            cause if is_out_of_reach(&cause) && is_a_members_proposal(framed) => Verdict::LeftOut(match cause {
                SecretTreeError::SecretReuseError => {
                    "The key of a member's proposal was used here for another message."
                }
                SecretTreeError::TooDistantInThePast => "The key of a member's proposal is deleted here by now.",
                _ => "The key of a member's proposal is too far ahead.",
            }),
            SecretTreeError::SecretReuseError => Verdict::Received(What::Ignored(Ignored::Duplicate)),
            SecretTreeError::TooDistantInThePast => Verdict::OutOfReach(Unreadable::OutsideWindow),
            SecretTreeError::TooDistantInTheFuture => Verdict::Received(What::Unreadable(Unreadable::OutsideWindow)),
            _ => invalid("The message could not be decrypted."),
        },
        ProcessMessageError::ValidationError(ValidationError::NoPastEpochData) => {
            Verdict::OutOfReach(Unreadable::EpochTooOld)
        }
        ProcessMessageError::ValidationError(ValidationError::UnableToDecrypt(_)) => {
            invalid("The message could not be decrypted: it was damaged or forged on the way.")
        }
        ProcessMessageError::ValidationError(ValidationError::InvalidSignature) => {
            invalid("The signature of the message is not its sender's.")
        }
        ProcessMessageError::ValidationError(cause) => invalid(fault(&cause)),
        ProcessMessageError::UnauthorizedExternalApplicationMessage => {
            invalid("An application message comes from somebody who is not a member.")
        }
        _ => invalid("The message is not valid in this conversation."),
    }
}

/// What is wrong with a message that nobody of the conversation can have sent as it is.
fn fault(cause: &ValidationError) -> &'static str {
    match cause {
        ValidationError::UnknownMember => "The message says that it comes from a leaf where nobody is.",
        ValidationError::MissingMembershipTag => "The message has no membership tag.",
        ValidationError::InvalidMembershipTag => "The membership tag of the message is wrong: no member has made it.",
        ValidationError::MissingConfirmationTag => "The commit has no confirmation tag.",
        ValidationError::UnencryptedApplicationMessage => "The application message is not encrypted.",
        ValidationError::NonMemberApplicationMessage => {
            "An application message comes from somebody who is not a member."
        }
        ValidationError::NoPath => "The commit of a client that joins from outside has no path.",
        ValidationError::NotACommit => "A client that joins from outside has sent something else than a commit.",
        ValidationError::NotAnExternalAddProposal => "A client outside has proposed something else than to be added.",
        ValidationError::UnauthorizedExternalSender | ValidationError::NoExternalSendersExtension => {
            "It comes from a sender outside whom the conversation does not know."
        }
        ValidationError::KeyPackageVerifyError(_) => "A client is added by a key package that is not valid.",
        ValidationError::InvalidLeafNodeSignature => "The signature of a leaf in the message is wrong.",
        ValidationError::InvalidAddProposalCiphersuite => {
            "A client is added by a key package of another cipher suite than the conversation's."
        }
        _ => "The message is not valid in this conversation.",
    }
}

/// Whether it is a commit that only a member can have made. An external commit proves nothing: any
/// stranger can make one that is invalid.
fn is_of_a_member(framed: &Framed<'_>) -> bool {
    framed.content == ContentType::Commit && !framed.is_external()
}

/// The same for a proposal.
fn is_a_members_proposal(framed: &Framed<'_>) -> bool {
    framed.content == ContentType::Proposal && !framed.is_external()
}

/// Whether the key is one of this sender's that is not here any more, or not yet.
fn is_out_of_reach(cause: &SecretTreeError) -> bool {
    use SecretTreeError::{SecretReuseError, TooDistantInTheFuture, TooDistantInThePast};
    matches!(cause, SecretReuseError | TooDistantInThePast | TooDistantInTheFuture)
}

/// Whether this may be found by some members only, since each opens another part of the path.
fn opens_for_some(cause: &ApplyUpdatePathError) -> bool {
    use ApplyUpdatePathError::{MissingCiphertext, PathMismatch, UnableToDecrypt};
    matches!(cause, UnableToDecrypt | PathMismatch | MissingCiphertext)
}

/// Whether OpenMLS finds this only after it has verified the signature of the message: the contents
/// of proposals and of the path are looked at last.
fn was_verified(cause: &ValidationError) -> bool {
    matches!(
        cause,
        ValidationError::KeyPackageVerifyError(_)
            | ValidationError::UpdatePathError(_)
            | ValidationError::InvalidLeafNodeSignature
            | ValidationError::InvalidLeafNodeSourceType
            | ValidationError::InvalidAddProposalCiphersuite
            | ValidationError::InvalidExtension(_)
    )
}

/// Whether this breaks a MUST of RFC 9420 that every member can check, by what all of them have.
///
/// A closed list. What a member cannot check for the others stays out of it: whether a path secret
/// opens there, and what depends on that (the confirmation tag, the keys of the path). So does what
/// OpenMLS is stricter in than the RFC: it looks for keys that come twice in the tree before the
/// commit, with the leaves that an Update replaces, and in the init keys, which need not differ.
fn everybody_refuses(cause: &StageCommitError) -> bool {
    use ApplyUpdatePathError as Path;
    use ProposalValidationError as Proposal;
    match cause {
        // Section 12.4: a path is required; a tag is required; nobody removes itself.
        StageCommitError::RequiredPathNotFound
        | StageCommitError::ConfirmationTagMissing
        | StageCommitError::AttemptedSelfRemoval
        // Section 12.2: each pre-shared key once.
        | StageCommitError::DuplicatePskId(_)
        // Section 12.4: only members commit, and clients that join.
        | StageCommitError::SenderTypeExternal
        | StageCommitError::SenderTypeNewMemberProposal => true,
        // Sections 7.3, 12.1 and 12.2.
        StageCommitError::ProposalValidationError(cause) => matches!(
            cause,
            Proposal::DuplicateMemberRemoval
                | Proposal::UnknownMemberRemoval
                | Proposal::UpdateFromNonMember
                | Proposal::CommitterIncludedOwnUpdate
                | Proposal::InvalidAddProposalCiphersuiteOrVersion
                | Proposal::ExternalInitProposalInRegularCommit
        ),
        // Section 12.2: at most one change of the group context.
        StageCommitError::GroupContextExtensionsProposalValidationError(cause) => {
            matches!(cause, GroupContextExtensionsProposalValidationError::TooManyGCEProposals)
        }
        StageCommitError::ExternalCommitValidation(cause) => {
            matches!(cause, ExternalCommitValidationError::MultipleExternalInitProposals)
        }
        // Section 7.9.2: the parent hashes, and the length of the path.
        StageCommitError::UpdatePathError(cause) => matches!(
            cause,
            Path::PathLengthMismatch | Path::ParentHashMismatch | Path::MissingParentHash
        ),
        _ => false,
    }
}
