//! What OpenMLS' refusals of Welcomes and GroupInfos mean: one sentence each.

use openmls::prelude::{CreationFromExternalError, ExternalCommitBuilderError, WelcomeError};

use crate::error::Error;

/// Why a Welcome is of no use; the end of a sentence that begins with "The Welcome cannot be used:".
pub(crate) fn of_welcome(cause: &WelcomeError<Error>) -> &'static str {
    match cause {
        WelcomeError::GroupSecrets(_) => "its secrets cannot be decrypted with the key package that it names",
        WelcomeError::GroupInfo(_) | WelcomeError::UnableToDecrypt | WelcomeError::MalformedWelcomeMessage => {
            "the GroupInfo in it cannot be decrypted"
        }
        WelcomeError::CiphersuiteMismatch => "it is of another cipher suite than the key package that it names",
        WelcomeError::UnsupportedCiphersuite(_) => "its cipher suite is not supported",
        WelcomeError::UnsupportedMlsVersion => "its group is of another version of MLS than 1.0",
        WelcomeError::ConfirmationTagMismatch => "its confirmation tag is not that of the epoch",
        WelcomeError::InvalidGroupInfoSignature => WRONG_SIGNATURE,
        WelcomeError::UnknownSender => UNKNOWN_SENDER,
        WelcomeError::UnsupportedCapability | WelcomeError::UnsupportedExtensions => {
            "its group has an extension that this client does not know"
        }
        WelcomeError::Psk(_) => "its group has a pre-shared key that this client does not have",
        WelcomeError::PublicTreeError(_) => "the path of its ratchet tree does not lead to this client",
        WelcomeError::PublicGroupError(cause) => of_tree(cause),
        WelcomeError::LeafNodeValidation(_) => "the key package that it names cannot take part in its group",
        WelcomeError::JoinerSecretNotFound => "it has no secret for the key package that it names",
        _ => "it does not follow the protocol",
    }
}

/// Why no external commit can be built from a GroupInfo; the end of "The GroupInfo cannot be used:".
pub(crate) fn of_group_info(cause: &ExternalCommitBuilderError<Error>) -> &'static str {
    match cause {
        ExternalCommitBuilderError::MissingRatchetTree => "it has no ratchet tree",
        ExternalCommitBuilderError::MissingExternalPub => "it has no key to join from outside with",
        ExternalCommitBuilderError::UnsupportedCiphersuite(_) => "its cipher suite is not supported",
        ExternalCommitBuilderError::PublicGroupError(cause) => of_tree(cause),
        _ => "it does not follow the protocol",
    }
}

const WRONG_SIGNATURE: &str = "its signature is not that of the member who it says has made it";
const UNKNOWN_SENDER: &str = "the member who it says has made it is not in its ratchet tree";

fn of_tree(cause: &CreationFromExternalError<Error>) -> &'static str {
    match cause {
        CreationFromExternalError::TreeSyncError(_) => "its ratchet tree is not well formed",
        CreationFromExternalError::UnknownSender => UNKNOWN_SENDER,
        CreationFromExternalError::InvalidGroupInfoSignature => WRONG_SIGNATURE,
        CreationFromExternalError::TreeHashMismatch => "its ratchet tree is not the one that it says it has",
        CreationFromExternalError::UnsupportedMlsVersion => "its group is of another version of MLS than 1.0",
        CreationFromExternalError::UnsupportedCiphersuite(_) => "its cipher suite is not supported",
        CreationFromExternalError::LeafNodeValidation(_) => "a leaf of its ratchet tree is not valid",
        CreationFromExternalError::UnmergedLeafNotADescendant
        | CreationFromExternalError::IntermediateNodeMissingUnmergedLeaf => {
            "a node of its ratchet tree names a leaf that is not under it"
        }
        CreationFromExternalError::DuplicateEncryptionKey => "two nodes of its ratchet tree have one encryption key",
        CreationFromExternalError::DuplicateSignatureKey => "two leaves of its ratchet tree have one signature key",
        CreationFromExternalError::LibraryError(_) | CreationFromExternalError::WriteToStorageError(_) => {
            "its ratchet tree cannot be checked"
        }
    }
}
