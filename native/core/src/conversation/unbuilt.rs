//! Why a commit cannot be built, and which of the invitees keeps it from that.

use std::collections::HashSet;

use openmls::group::{CommitBuilderStageError, CreateCommitError, ProposalValidationError};
use openmls::prelude::KeyPackage;
use openmls::treesync::errors::LeafNodeValidationError;
use openmls_traits::types::VerifiableCiphersuite;

use crate::conversation::Conversation;
use crate::conversation::intent::{Addition, Work};
use crate::conversation::stage::Signers;
use crate::error::Error;
use crate::key_package::others::unusable;

/// Why no commit came about.
#[derive(Debug)]
pub(crate) enum BuildError {
    /// OpenMLS does not build it.
    Refused(CreateCommitError),
    /// Something failed here.
    Failed(Error),
}

impl From<CreateCommitError> for BuildError {
    fn from(cause: CreateCommitError) -> Self {
        BuildError::Refused(cause)
    }
}

impl From<CommitBuilderStageError<Error>> for BuildError {
    fn from(cause: CommitBuilderStageError<Error>) -> Self {
        BuildError::Failed(match cause {
            CommitBuilderStageError::KeyStoreError(error) => error,
            cause => Error::internal("the commit could not be staged").caused_by(cause),
        })
    }
}

impl From<Error> for BuildError {
    fn from(error: Error) -> Self {
        BuildError::Failed(error)
    }
}

impl Conversation<'_> {
    /// What to say of a commit of this work that could not be built: mostly it is one of the key packages.
    pub(crate) fn why_not_built(&mut self, cause: BuildError, work: &Work, signers: &Signers) -> Error {
        let cause = match cause {
            BuildError::Refused(cause) => cause,
            BuildError::Failed(error) => return error,
        };
        match self.first_unfit(work, signers) {
            Some((addition, cause)) => unusable(self.fault(&addition.key_package, &cause))
                .at_index(addition.index)
                .caused_by(cause),
            None => Error::internal("the commit cannot be built").caused_by(cause),
        }
    }

    /// The first key package that a commit cannot be built with, with those before it. What cannot be built stays so when more is
    /// added to it, so halving finds it.
    fn first_unfit<'w>(&mut self, work: &'w Work, signers: &Signers) -> Option<(&'w Addition, CreateCommitError)> {
        if self.refuses_first(work, 0, signers).is_some() {
            return None;
        }
        let (mut fit, mut unfit) = (0, work.adds.len());
        let mut cause = self.refuses_first(work, unfit, signers)?;
        while unfit - fit > 1 {
            let middle = fit.midpoint(unfit);
            match self.refuses_first(work, middle, signers) {
                Some(refusal) => (unfit, cause) = (middle, refusal),
                None => fit = middle,
            }
        }
        Some((work.adds.get(unfit.checked_sub(1)?)?, cause))
    }

    /// Why no commit can be built that adds only the first so many.
    fn refuses_first(&mut self, work: &Work, count: usize, signers: &Signers) -> Option<CreateCommitError> {
        let part = Work {
            adds: work.adds[..count].to_vec(),
            ..work.clone()
        };
        match self.assemble(&part, signers, &HashSet::new()) {
            Err(BuildError::Refused(cause)) => Some(cause),
            _ => None,
        }
    }

    fn fault(&self, package: &KeyPackage, cause: &CreateCommitError) -> &'static str {
        use LeafNodeValidationError as Leaf;
        use ProposalValidationError as Proposal;
        let CreateCommitError::ProposalValidationError(cause) = cause else {
            return "nobody can be added to this conversation by it";
        };
        match cause {
            Proposal::DuplicateEncryptionKey => {
                let key = package.leaf_node().encryption_key();
                let mut members = self.group.treesync().full_leaves();
                if members.any(|(_, leaf)| leaf.encryption_key() == key) {
                    "its leaf has the encryption key of a member"
                } else {
                    "its leaf has the encryption key of another key package in the list"
                }
            }
            Proposal::DuplicateInitKey => "it has the init key of another key package in the list",
            Proposal::InitEncryptionKeyCollision => "its init key is the encryption key of a leaf",
            Proposal::DuplicateSignatureKey => "its signature key is in use",
            Proposal::InsufficientCapabilities => {
                "its capabilities do not list an extension that the conversation has, so its client cannot take part"
            }
            Proposal::LeafNodeValidation(cause) => match cause {
                Leaf::CiphersuiteNotInCapabilities if self.lists_suite(package) => {
                    "its capabilities do not list MLS 1.0"
                }
                Leaf::CiphersuiteNotInCapabilities => "its capabilities do not list the conversation's cipher suite",
                Leaf::CredentialNotInCapabilities => "its capabilities do not list the kind of its own credential",
                Leaf::ExtensionsNotInCapabilities => "its leaf has an extension that its capabilities do not list",
                Leaf::UnsupportedExtensions => {
                    "its capabilities do not list an extension that the conversation requires, so its client cannot take part"
                }
                Leaf::UnsupportedProposals => {
                    "its capabilities do not list a kind of proposal that the conversation requires, so its client cannot take part"
                }
                Leaf::UnsupportedCredentials => {
                    "its capabilities do not list a kind of credential that the conversation needs, so its client cannot take part"
                }
                _ => "its leaf does not fit into this conversation",
            },
            _ => "nobody can be added to this conversation by it",
        }
    }

    fn lists_suite(&self, package: &KeyPackage) -> bool {
        let listed = package.leaf_node().capabilities().ciphersuites();
        listed.contains(&VerifiableCiphersuite::from(self.group.ciphersuite()))
    }
}
