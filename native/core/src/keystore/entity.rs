//! The kinds of rows. Their numbers are on disk.

macro_rules! entities {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What a row is. The numbers are stored: they are never changed and never used again for something else.
        ///
        /// A kind that is new in a release comes with a migration, if only an empty one: an older release, which would not
        /// know the rows it has to wipe with a conversation, then refuses the file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[repr(u8)]
        pub enum Entity { $($(#[$doc])* $name = $number,)* }

        impl Entity {
            /// Every kind there is.
            pub const ALL: &[Entity] = &[$(Entity::$name,)*];
        }
    };
}

entities! {
    // 1–63: what OpenMLS stores, by the names of its storage interface.
    /// A group's join configuration.
    JoinConfig = 1,
    /// Own leaf nodes of proposed updates.
    OwnLeafNodes = 2,
    /// The order of the queued proposals.
    ProposalRefs = 3,
    /// One queued proposal.
    Proposal = 4,
    /// The public ratchet tree.
    Tree = 5,
    /// The interim transcript hash.
    InterimTranscriptHash = 6,
    /// The group context.
    Context = 7,
    /// The confirmation tag of the last commit.
    ConfirmationTag = 8,
    /// Operational, pending a commit, or inactive; with the staged commit.
    GroupState = 9,
    /// The message secrets of the present and past epochs.
    MessageSecrets = 10,
    /// Resumption PSKs of past epochs.
    ResumptionPskStore = 11,
    /// Which leaf is one's own.
    OwnLeafIndex = 12,
    /// The secrets of the present epoch.
    EpochSecrets = 13,
    /// A signature key pair.
    SignatureKeyPair = 14,
    /// An HPKE key pair of a leaf node.
    EncryptionKeyPair = 15,
    /// The HPKE key pairs of one epoch and leaf.
    EpochKeyPairs = 16,
    /// A key package with its private keys.
    KeyPackageBundle = 17,
    /// A pre-shared key.
    Psk = 18,

    // 64 and up: our own.
    /// Facts about the keystore itself: the client it belongs to.
    Meta = 64,
    /// A credential and the signature key it stands for.
    Credential = 65,
    /// What is known about a published key package.
    KeyPackage = 66,
    /// What is known about a conversation; stays as its tombstone.
    Conversation = 67,
    /// A commit that was staged and is not settled, with what is needed to send it again.
    StagedCommit = 68,
    /// Handshakes that were sent or consumed, and what became of them: two rings.
    KnownMessage = 69,
    /// A received message that waits for another one.
    Buffered = 70,
    /// Reserved own ratchet generations.
    Generations = 71,
    /// A member of a past epoch.
    PastMember = 72,
    /// What the application keeps here.
    Data = 73,
    /// An external commit that was staged and is not settled, and the group that it makes.
    PendingJoin = 74,
    /// Application messages that were received or sent: a ring.
    Seen = 75,
    /// The newest epoch of a conversation that is known; stays when it is wiped.
    NewestEpoch = 76,
    /// A Welcome that was joined by with a last-resort key package; stays as long as that one.
    UsedWelcome = 77,
    /// A proposal that was refused, for a commit that may name it.
    SetAside = 78,
    /// Where a message that waits is among those of its conversation, by its hash.
    BufferedPlace = 79,
    /// How much waits for a conversation that this client is a member of.
    BufferedQueue = 80,
    /// How much waits for a conversation that this client is not a member of.
    BufferedStranger = 81,
    /// That keys have to be renewed, since a lost state of the keystore may have used them; and what it knew.
    Renewal = 84,
}
