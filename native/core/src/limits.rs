//! How large things may be, which is checked before anything is decoded, and how long they last.
//!
//! The one table: `lib/limits.ts` shows part of it, and a test compares the two by [`TABLE`].

use std::time::Duration;

/// The largest application message, in bytes.
pub const MAX_PLAINTEXT: usize = 16 * 1024 * 1024;
/// The largest additional authenticated data, in bytes.
pub const MAX_AAD: usize = 64 * 1024;
/// The largest message or Welcome from outside, in bytes: the largest plaintext and additional data, and what
/// encryption adds (framing with a conversation id, signature, padding, tags).
pub const MAX_MESSAGE: usize = MAX_PLAINTEXT + MAX_AAD + MAX_ID_LENGTH + 4096;
/// The longest id of a client or conversation, in bytes.
pub const MAX_ID_LENGTH: usize = 4096;
/// The largest message from outside whose content is not encrypted (a PublicMessage), in bytes.
pub const MAX_PUBLIC_MESSAGE: usize = 2 * 1024 * 1024;
/// The largest GroupInfo or ratchet tree from outside, by itself or in a Welcome, in bytes: more than 10,000
/// members with short ids.
pub const MAX_GROUP_INFO: usize = 3 * 1024 * 1024;
/// The most invitees of a Welcome from outside.
pub const MAX_WELCOME_SECRETS: usize = 65_536;
/// The largest entry of a Welcome for one invitee, in bytes.
pub const MAX_GROUP_SECRETS: usize = 4096;
/// The largest encrypted sender data of a PrivateMessage, in bytes; 28 are needed.
pub const MAX_SENDER_DATA: usize = 64;
/// The most memory that OpenMLS takes to decode something that nobody has signed, in bytes.
pub const MAX_DECODED_UNSIGNED: usize = 10 * 1024 * 1024;
/// The most memory that OpenMLS takes to decode a GroupInfo without a ratchet tree, in bytes: nothing tells
/// who has signed it.
pub const MAX_DECODED_WITHOUT_TREE: usize = 1024 * 1024;
/// The most memory that OpenMLS takes to decode a GroupInfo that a leaf of its ratchet tree has
/// signed, in bytes.
pub const MAX_DECODED: usize = 64 * 1024 * 1024;
/// The largest key package from outside, in bytes.
pub const MAX_KEY_PACKAGE: usize = 64 * 1024;
/// The most members that one commit adds or removes, and the most key packages that are removed at once.
pub const MAX_LIST: usize = 4096;
/// The most key packages that are made at once.
pub const MAX_KEY_PACKAGES: usize = 1000;
/// The longest label of an exported secret, in bytes.
pub const MAX_LABEL: usize = 1024;
/// How many hashes an exported secret is long at most (RFC 5869 section 2.3).
pub const MAX_SECRET_HASHES: usize = 255;
/// The longest key of an application value, in bytes.
pub const MAX_DATA_KEY: usize = 1024;
/// The largest application value, in bytes.
pub const MAX_DATA_VALUE: usize = 1024 * 1024;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long key packages can be used from now on unless told otherwise. With [`LIFETIME_BEGAN`] these are 84 days, which clients
/// of other makes accept.
pub const DEFAULT_LIFETIME: Duration = DAY.saturating_mul(83);
/// How long they can be used from now on at least, and at most.
pub const MIN_LIFETIME: Duration = Duration::from_secs(1);
/// See [`MIN_LIFETIME`].
pub const MAX_LIFETIME: Duration = DAY.saturating_mul(84);
/// How long ago their lifetime has begun when they are made, for clocks that are behind.
pub const LIFETIME_BEGAN: Duration = DAY;
/// The longest whole lifetime of a key package that somebody is added by, an hour more than what this client makes.
pub const MAX_WHOLE_LIFETIME: Duration = DAY.saturating_mul(85).saturating_add(Duration::from_secs(60 * 60));
/// How much of it must be left then, so that it does not run out on the way.
pub const LEAST_LIFETIME_LEFT: Duration = DAY;
/// How long the private keys of a key package stay after it has expired or was replaced, in milliseconds: a
/// Welcome for it may be under way.
pub const KEY_PACKAGE_GRACE_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// How many of those that ended are deleted at once.
pub const MAX_FORGOTTEN: usize = 256;

/// No conversation is joined in a later epoch than this: those that follow are counted on from it, and no sum may overflow.
pub const MAX_EPOCH: u64 = 1 << 62;
/// How many epochs back application messages can still be read.
pub const PAST_EPOCHS: u64 = 5;
/// How many messages of one sender may arrive out of order.
pub const OUT_OF_ORDER: u32 = 1000;
/// How many messages of one sender may be missing before a later one.
pub const FORWARD: u32 = 2000;
/// Application messages are padded to a multiple of this, in bytes.
pub const PADDING: usize = 128;

/// The most messages that wait for one conversation and may come from anybody.
pub const MAX_BUFFERED: usize = 1000;
/// The most bytes of them. One message that is larger never waits.
pub const MAX_BUFFERED_BYTES: usize = 16 * 1024 * 1024;
/// The most commits of one member that wait for a proposal.
pub const MAX_BUFFERED_BY_ONE: usize = 16;
/// The most bytes of them.
pub const MAX_BUFFERED_BYTES_BY_ONE: usize = 2 * 1024 * 1024;
/// The most commits of all members of one conversation that wait for a proposal.
pub const MAX_BUFFERED_OF_MEMBERS: usize = 256;
/// The most bytes of them.
pub const MAX_BUFFERED_BYTES_OF_MEMBERS: usize = 8 * 1024 * 1024;
/// The most conversations not joined yet for which messages wait.
pub const MAX_BUFFERED_STRANGERS: usize = 100;
/// The most messages that wait for all of them together.
pub const MAX_BUFFERED_OF_STRANGERS: usize = 10_000;
/// The most bytes that wait for all of them together.
pub const MAX_BUFFERED_BYTES_OF_STRANGERS: usize = 16 * 1024 * 1024;
/// The largest message that waits for a conversation not joined yet, in bytes.
pub const MAX_BUFFERED_STRANGER: usize = 64 * 1024;

/// How many application messages of one conversation are remembered, so that none that comes again is told to be lost.
pub const MAX_SEEN: usize = 10_000;
/// How many handshakes of others are remembered in one conversation, so that one that comes again
/// is told to be a duplicate.
pub const MAX_KNOWN_PROCESSED: usize = 1024;
/// How many things that became of own commits are remembered in one conversation; an own commit
/// takes two. That is more than [`MAX_COMMITS_IN_EPOCH`] needs.
pub const MAX_KNOWN_OWN: usize = 2048;
/// How many former members of one conversation are remembered.
pub const MAX_PAST_MEMBERS: usize = 4096;
/// How many Welcomes are remembered that were joined by with one last-resort key package.
pub const MAX_USED_WELCOMES: usize = 10_000;
/// Of how many conversations that are not here any more the newest epoch is remembered.
pub const MAX_NEWEST_OF_GONE: usize = 10_000;
/// How many own generations are burnt in a row at most. Clients of other makes skip as few as 1,000.
pub const MAX_BURNT: u32 = 500;
/// How many commits this client makes in one epoch at most. Those that are not accepted use generations that others skip.
pub const MAX_COMMITS_IN_EPOCH: u32 = 900;
/// How many more it makes to renew its keys, in an epoch in which a lost state of the keystore may
/// have made all of those. Both together stay below the 1,000 that clients of other makes skip.
pub const MAX_RENEWALS_IN_EPOCH: u32 = 90;
/// For how many epochs of a conversation it is known what was sent in them, should this client come back by a Welcome for a
/// last-resort key package.
pub const MAX_RETURNS: usize = 64;

/// How many proposals of one sender wait for a commit. What exceeds that is refused.
pub const MAX_PROPOSALS_BY_ONE: usize = 256;

/// How many refused proposals are kept in an epoch, for a commit that may name them.
pub const MAX_SET_ASIDE: usize = 256;
/// How many of one member, and of all clients outside together.
pub const MAX_SET_ASIDE_BY_ONE: usize = 8;
/// The largest that is kept, in bytes.
pub const MAX_SET_ASIDE_BYTES: usize = 64 * 1024;

/// A limit as callers see it: its name there, the least, the most, and what is taken where nothing is said.
pub type Row = (&'static str, u64, u64, Option<u64>);

/// What callers see of the limits. Sizes are in bytes, times in milliseconds.
pub const TABLE: &[Row] = &[
    ("padding", PADDING as u64, PADDING as u64, Some(PADDING as u64)),
    ("pastEpochs", PAST_EPOCHS, PAST_EPOCHS, Some(PAST_EPOCHS)),
    (
        "outOfOrder",
        OUT_OF_ORDER as u64,
        OUT_OF_ORDER as u64,
        Some(OUT_OF_ORDER as u64),
    ),
    ("forwardDistance", FORWARD as u64, FORWARD as u64, Some(FORWARD as u64)),
    ("secretBytes", 1, LONGEST_SECRET as u64, None),
    ("messageBytes", 1, MAX_MESSAGE as u64, None),
    ("publicMessageBytes", 1, MAX_PUBLIC_MESSAGE as u64, None),
    ("groupInfoBytes", 1, MAX_GROUP_INFO as u64, None),
    ("idBytes", 1, MAX_ID_LENGTH as u64, None),
    ("listLength", 1, MAX_LIST as u64, None),
    ("plaintextBytes", 0, MAX_PLAINTEXT as u64, None),
    ("aadBytes", 0, MAX_AAD as u64, None),
    ("pendingProposals", 0, MAX_PROPOSALS_BY_ONE as u64, None),
    (
        "keyPackageLifetimeMs",
        MIN_LIFETIME.as_secs() * 1000,
        MAX_LIFETIME.as_secs() * 1000,
        Some(DEFAULT_LIFETIME.as_secs() * 1000),
    ),
    ("keyPackageBytes", 1, MAX_KEY_PACKAGE as u64, None),
    ("keyPackages", 1, MAX_KEY_PACKAGES as u64, None),
    ("labelBytes", 1, MAX_LABEL as u64, None),
    ("dataKeyBytes", 1, MAX_DATA_KEY as u64, None),
    ("dataValueBytes", 0, MAX_DATA_VALUE as u64, None),
];

/// The longest secret that the suites of this version export, in bytes: all of them have a hash of 32.
pub(crate) const LONGEST_SECRET: usize = MAX_SECRET_HASHES * 32;
