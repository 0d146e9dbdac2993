//! The one error type of the core. Every variant has a stable code, which the TypeScript layer shows to callers.

mod causes;

use std::fmt;
use std::sync::Arc;

/// What the core's fallible functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure with a stable [`code`](Error::code) and a message that says what failed and what to do about it.
///
/// Messages never contain keys, plaintext, payloads or identity bytes.
#[derive(Clone, Debug)]
pub struct Error {
    code: Code,
    message: String,
    conversation_id: Option<Vec<u8>>,
    epoch: Option<u64>,
    index: Option<usize>,
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The stable names of failures; the same words as `MlsErrorCode` in the TypeScript layer, which explains them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "lib/errors.ts has the one table that explains the codes")]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code the core can answer with.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// The word that callers compare with.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }
        }
    };
}

codes! {
    InvalidArgument = "INVALID_ARGUMENT",
    KeyPackageInvalid = "KEY_PACKAGE_INVALID",
    KeyPackageMismatch = "KEY_PACKAGE_MISMATCH",
    AlreadyMember = "ALREADY_MEMBER",
    NotAMember = "NOT_A_MEMBER",
    CipherSuiteUnsupported = "CIPHER_SUITE_UNSUPPORTED",
    CredentialNotFound = "CREDENTIAL_NOT_FOUND",
    CredentialInUse = "CREDENTIAL_IN_USE",
    ClientMismatch = "CLIENT_MISMATCH",
    ConversationNotFound = "CONVERSATION_NOT_FOUND",
    ConversationExists = "CONVERSATION_EXISTS",
    ConversationInactive = "CONVERSATION_INACTIVE",
    ConversationStalled = "CONVERSATION_STALLED",
    ConversationCorrupt = "CONVERSATION_CORRUPT",
    EpochExhausted = "EPOCH_EXHAUSTED",
    RollbackRefused = "ROLLBACK_REFUSED",
    WrongConversation = "WRONG_CONVERSATION",
    PendingProposals = "PENDING_PROPOSALS",
    MessageInvalid = "MESSAGE_INVALID",
    WelcomeInvalid = "WELCOME_INVALID",
    WelcomeWithoutKeyPackage = "WELCOME_WITHOUT_KEY_PACKAGE",
    WelcomeOvertaken = "WELCOME_OVERTAKEN",
    RatchetTreeMissing = "RATCHET_TREE_MISSING",
    GroupInfoInvalid = "GROUP_INFO_INVALID",
    ExternalJoinRefused = "EXTERNAL_JOIN_REFUSED",
    CommitOutcomeUnknown = "COMMIT_OUTCOME_UNKNOWN",
    StateDiverged = "STATE_DIVERGED",
    DatabaseClosed = "DATABASE_CLOSED",
    DatabaseInUse = "DATABASE_IN_USE",
    DatabaseKeyWrong = "DATABASE_KEY_WRONG",
    DatabaseCorrupt = "DATABASE_CORRUPT",
    DatabaseTooNew = "DATABASE_TOO_NEW",
    DatabaseLost = "DATABASE_LOST",
    DatabaseRolledBack = "DATABASE_ROLLED_BACK",
    DatabaseIo = "DATABASE_IO",
    InternalError = "INTERNAL_ERROR",
}

impl Error {
    /// A failure of this kind; the message is a whole sentence for the caller.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Error {
            code,
            message: message.into(),
            conversation_id: None,
            epoch: None,
            index: None,
            cause: None,
        }
    }

    /// Something that cannot happen did; `what` says which expectation broke.
    pub fn internal(what: impl fmt::Display) -> Self {
        Error::new(
            Code::InternalError,
            format!("Internal error: {what}. Please report it."),
        )
    }

    /// The caller gave something that cannot be used.
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(Code::InvalidArgument, message)
    }

    /// A stored value, or the key of its row, is damaged; `scope` says which conversation it is of.
    /// An empty one is none.
    pub(crate) fn damaged(scope: &[u8]) -> Self {
        if scope.is_empty() {
            return Error::new(
                Code::DatabaseCorrupt,
                "The keystore holds a value that cannot be read, and that belongs to no single conversation. Create a new \
                 client with a new keystore; a backup would use message keys twice.",
            );
        }
        Error::new(
            Code::ConversationCorrupt,
            "What the keystore has of this conversation is damaged. Call wipe(), then join it anew: from outside, or by a new \
             Welcome. Other conversations go on.",
        )
    }

    /// Keeps what this failure came from.
    #[must_use]
    pub fn caused_by(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// Adds the conversation that the failure is about, unless it is known.
    #[must_use]
    pub fn in_conversation(mut self, id: &[u8]) -> Self {
        self.conversation_id.get_or_insert_with(|| id.to_vec());
        self
    }

    /// Adds the epoch that the failure is about.
    #[must_use]
    pub fn at_epoch(mut self, epoch: u64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Adds the place in the caller's list, from 0, of the entry that the failure is about.
    #[must_use]
    pub fn at_index(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The conversation that the failure is about, where there is one.
    pub fn conversation_id(&self) -> Option<&[u8]> {
        self.conversation_id.as_deref()
    }

    /// The epoch that the failure is about, where there is one.
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// The place in the caller's list, from 0, of the entry that the failure is about, where there is one.
    pub fn index(&self) -> Option<usize> {
        self.index
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
