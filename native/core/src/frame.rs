//! MLSMessages, read by hand (RFC 9420 section 6), before anything is decoded.
//!
//! OpenMLS decodes a message into structures that take up to fifty times its size, and does so
//! before anything says who has sent it. The reader here walks over the same bytes and allocates
//! nothing. It finds what a message is and where it belongs, holds every vector against the bytes
//! that are there, and adds up what OpenMLS would allocate. What would take more than its kind may
//! take is refused.
//!
//! The functions are pure: what they answer depends on the bytes alone.

use std::cell::Cell;
use std::fmt;

use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::Ciphersuite;

use crate::limits::{
    MAX_DECODED, MAX_DECODED_UNSIGNED, MAX_DECODED_WITHOUT_TREE, MAX_GROUP_INFO, MAX_GROUP_SECRETS, MAX_ID_LENGTH,
    MAX_MESSAGE, MAX_PUBLIC_MESSAGE, MAX_SENDER_DATA, MAX_WELCOME_SECRETS,
};

/// Why bytes are no message that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// They do not follow RFC 9420.
    Malformed,
    /// They may follow it, and are larger than what is accepted of their kind, as a whole or in a
    /// part.
    TooLarge,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flaw::Malformed => {
                "The bytes do not follow RFC 9420: they end too early or too late, or a field has no such value."
            }
            Flaw::TooLarge => "The whole or a part of it is larger than what is accepted of its kind.",
        })
    }
}

impl std::error::Error for Flaw {}

type Result<T> = std::result::Result<T, Flaw>;

/// What the content of a group message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Application data.
    Application,
    /// A proposal.
    Proposal,
    /// A commit.
    Commit,
}

/// Who claims to have sent a group message. Nothing of it is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The member of this leaf.
    Member(u32),
    /// Some member; which of them is encrypted.
    SomeMember,
    /// Somebody who is no member.
    Outside,
}

/// A message as far as anybody can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'b> {
    /// A PublicMessage or PrivateMessage.
    Group(GroupMessage<'b>),
    /// A Welcome.
    Welcome(Welcome<'b>),
    /// A GroupInfo.
    GroupInfo(GroupInfo<'b>),
    /// A key package.
    KeyPackage {
        /// Its suite.
        cipher_suite: u16,
    },
}

/// A message to the members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupMessage<'b> {
    /// Where it belongs.
    pub conversation_id: &'b [u8],
    /// Its epoch.
    pub epoch: u64,
    /// What is in it.
    pub content: Content,
    /// Whether it is a PrivateMessage.
    pub encrypted: bool,
    /// Who claims to have sent it.
    pub sender: Sender,
}

/// A Welcome (RFC 9420 section 12.4.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome<'b> {
    /// Its suite.
    pub cipher_suite: u16,
    secrets: &'b [u8],
    /// The encrypted GroupInfo with its length before it.
    group_info: &'b [u8],
}

/// The secrets for one invitee, as they stand in a Welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secrets<'b> {
    /// The reference of the key package that they are for.
    pub reference: &'b [u8],
    bytes: &'b [u8],
}

/// A GroupInfo (RFC 9420 section 12.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupInfo<'b> {
    /// Its suite.
    pub cipher_suite: u16,
    /// Where it belongs.
    pub conversation_id: &'b [u8],
    /// Its epoch.
    pub epoch: u64,
    /// Its ratchet tree, if it has one.
    tree: Option<&'b [u8]>,
    /// The signature key of the leaf that has signed it, where it has a ratchet tree with that
    /// leaf.
    signature_key: Option<&'b [u8]>,
    signed: &'b [u8],
    signature: &'b [u8],
    /// What OpenMLS allocates when it decodes it, in bytes at most.
    decoded: usize,
}

/// What is looked at of a leaf.
struct Leaf<'b> {
    signature_key: &'b [u8],
    /// With their length before them.
    extensions: &'b [u8],
}

const PUBLIC_MESSAGE: u16 = 1;
const PRIVATE_MESSAGE: u16 = 2;
const WELCOME: u16 = 3;
const GROUP_INFO: u16 = 4;
const KEY_PACKAGE: u16 = 5;

/// Reads an MLSMessage to its end.
pub fn read(bytes: &[u8]) -> Result<Frame<'_>> {
    if bytes.len() > MAX_MESSAGE {
        return Err(Flaw::TooLarge);
    }
    let room = Room::of(MAX_DECODED_UNSIGNED);
    let mut reader = Reader::new(bytes, &room);
    if reader.u16()? != 1 {
        return Err(Flaw::Malformed);
    }
    let frame = match reader.u16()? {
        PUBLIC_MESSAGE if bytes.len() > MAX_PUBLIC_MESSAGE => return Err(Flaw::TooLarge),
        PUBLIC_MESSAGE => Frame::Group(reader.public_message()?),
        PRIVATE_MESSAGE => Frame::Group(reader.private_message()?),
        WELCOME => Frame::Welcome(reader.welcome()?),
        GROUP_INFO => return group_info(reader.rest).map(Frame::GroupInfo),
        KEY_PACKAGE => {
            // The version of the key package is that of the message.
            if reader.peek_u16()? != 1 {
                return Err(Flaw::Malformed);
            }
            Frame::KeyPackage {
                cipher_suite: reader.key_package()?,
            }
        }
        _ => return Err(Flaw::Malformed),
    };
    reader.end()?;
    Ok(frame)
}

/// Reads a GroupInfo to its end, without the head of an MLSMessage, as it stands in a Welcome.
pub fn group_info(bytes: &[u8]) -> Result<GroupInfo<'_>> {
    if bytes.len() > MAX_GROUP_INFO {
        return Err(Flaw::TooLarge);
    }
    let room = Room::of(MAX_DECODED);
    let mut reader = Reader::new(bytes, &room);
    let info = reader.group_info()?;
    reader.end()?;
    Ok(GroupInfo {
        decoded: MAX_DECODED - room.bytes.get(),
        ..info
    })
}

/// Reads a ratchet tree that comes by itself, to its end.
pub fn ratchet_tree(bytes: &[u8]) -> Result<()> {
    if bytes.len() > MAX_GROUP_INFO {
        return Err(Flaw::TooLarge);
    }
    let room = Room::of(MAX_DECODED);
    let mut reader = Reader::new(bytes, &room);
    reader.ratchet_tree(|_, _| ())?;
    reader.end()
}

impl<'b> Welcome<'b> {
    /// The secrets in it, in their order.
    pub fn secrets(&self) -> impl Iterator<Item = Secrets<'b>> + use<'b> {
        let mut rest = self.secrets;
        std::iter::from_fn(move || {
            let room = Room::of(0);
            let mut reader = Reader::new(rest, &room);
            let secrets = reader.secrets().ok()?;
            rest = reader.rest;
            Some(secrets)
        })
    }

    /// An MLSMessage with the same Welcome for one invitee only, in parts. What OpenMLS allocates
    /// for it does not depend on how many are invited.
    pub fn only_for(&self, secrets: &Secrets<'b>) -> (Vec<u8>, &'b [u8]) {
        let mut head = Vec::with_capacity(secrets.bytes.len() + 10);
        for field in [1, WELCOME, self.cipher_suite] {
            head.extend(field.to_be_bytes());
        }
        put_opaque(&mut head, secrets.bytes);
        (head, self.group_info)
    }
}

impl<'b> GroupInfo<'b> {
    /// Whether a leaf of its ratchet tree has this extension with this data.
    pub fn has_leaf_with(&self, kind: u16, data: &[u8]) -> bool {
        let Some(tree) = self.tree else { return false };
        let room = Room::of(usize::MAX);
        let mut found = false;
        let walked = Reader::new(tree, &room).ratchet_tree(|_, leaf| {
            found |= extension_among(leaf.extensions, kind).is_ok_and(|found| found == Some(data));
        });
        walked.is_ok() && found
    }

    /// Whether it may be decoded: the leaf that it names has signed it. Without a ratchet tree that
    /// cannot be said; then it must be much smaller.
    pub fn is_signed(&self, crypto: &impl OpenMlsCrypto) -> bool {
        const LABEL: &[u8] = b"MLS 1.0 GroupInfoTBS";
        let Some(key) = self.signature_key else {
            return self.tree.is_none() && self.decoded <= MAX_DECODED_WITHOUT_TREE;
        };
        let Ok(suite) = Ciphersuite::try_from(self.cipher_suite) else {
            return false;
        };
        let mut content = Vec::with_capacity(self.signed.len() + LABEL.len() + 8);
        put_opaque(&mut content, LABEL);
        put_opaque(&mut content, self.signed);
        let verified = crypto.verify_signature(suite.signature_algorithm(), &content, key, self.signature);
        verified.is_ok()
    }
}

/// What OpenMLS allocates for the parts of a message beside the bytes in them: at most this, with
/// what a growing vector takes for a moment. A test holds these against what it does allocate.
mod weight {
    /// A vector of bytes, or any other that is not empty.
    pub(super) const VECTOR: usize = 32;
    /// A number of two bytes in a list of capabilities.
    pub(super) const CAPABILITY: usize = 12;
    /// A place in a ratchet tree, blank or not.
    pub(super) const NODE: usize = 48;
    pub(super) const LEAF: usize = 768;
    pub(super) const PARENT: usize = 256;
    pub(super) const UNMERGED_LEAF: usize = 12;
    pub(super) const EXTENSION: usize = 512;
    pub(super) const EXTERNAL_SENDER: usize = 384;
    pub(super) const KEY_PACKAGE: usize = 384;
    pub(super) const PROPOSAL: usize = 384;
    pub(super) const PATH_NODE: usize = 256;
    pub(super) const PATH_SECRET: usize = 256;
}

/// How much OpenMLS may still allocate for what is decoded, in bytes, and how many leaves were
/// seen.
struct Room {
    bytes: Cell<usize>,
    leaves: Cell<usize>,
}

impl Room {
    fn of(bytes: usize) -> Room {
        Room {
            bytes: Cell::new(bytes),
            leaves: Cell::new(0),
        }
    }
}

/// What is left of the bytes, and of the room for what is decoded from them.
struct Reader<'b, 'r> {
    rest: &'b [u8],
    room: &'r Room,
}

impl<'b, 'r> Reader<'b, 'r> {
    fn new(rest: &'b [u8], room: &'r Room) -> Self {
        Reader { rest, room }
    }

    fn end(&self) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Flaw::Malformed)
        }
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Flaw::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Flaw::Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn peek_u16(&self) -> Result<u16> {
        Reader::new(self.rest, self.room).u16()
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A vector of bytes. Its length stands before it in the shortest form (RFC 9420 section
    /// 2.1.2).
    fn opaque(&mut self) -> Result<&'b [u8]> {
        let first = self.u8()?;
        let high = u32::from(first & 0x3f);
        let (length, least) = match first >> 6 {
            0 => (high, 0),
            1 => (high << 8 | u32::from(self.u8()?), 0x40),
            2 => {
                let [second, third, fourth] = self.array()?;
                (high << 24 | u32::from_be_bytes([0, second, third, fourth]), 0x4000)
            }
            _ => return Err(Flaw::Malformed),
        };
        if length < least {
            return Err(Flaw::Malformed);
        }
        self.take(usize::try_from(length).map_err(|_| Flaw::Malformed)?)
    }

    /// As [`opaque`](Self::opaque), for bytes that OpenMLS copies.
    fn copied(&mut self) -> Result<&'b [u8]> {
        let bytes = self.opaque()?;
        self.charge(bytes.len() + weight::VECTOR)?;
        Ok(bytes)
    }

    /// A reader of the elements of a vector.
    fn inside(&mut self) -> Result<Reader<'b, 'r>> {
        Ok(Reader::new(self.opaque()?, self.room))
    }

    /// The elements of a vector, each read by `element`.
    fn each(&mut self, mut element: impl FnMut(&mut Reader<'b, 'r>) -> Result<()>) -> Result<()> {
        let mut elements = self.inside()?;
        while !elements.rest.is_empty() {
            element(&mut elements)?;
        }
        Ok(())
    }

    /// Takes from the room for what is decoded.
    fn charge(&self, bytes: usize) -> Result<()> {
        let left = self.room.bytes.get().checked_sub(bytes).ok_or(Flaw::TooLarge)?;
        self.room.bytes.set(left);
        Ok(())
    }

    fn optional(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Flaw::Malformed),
        }
    }

    fn conversation_id(&mut self) -> Result<&'b [u8]> {
        let id = self.copied()?;
        if id.len() > MAX_ID_LENGTH {
            return Err(Flaw::TooLarge);
        }
        Ok(id)
    }

    fn cipher_suite(&mut self) -> Result<u16> {
        let suite = self.u16()?;
        Ciphersuite::try_from(suite).map_err(|_| Flaw::Malformed)?;
        Ok(suite)
    }

    fn content_type(&mut self) -> Result<Content> {
        match self.u8()? {
            1 => Ok(Content::Application),
            2 => Ok(Content::Proposal),
            3 => Ok(Content::Commit),
            _ => Err(Flaw::Malformed),
        }
    }

    fn public_message(&mut self) -> Result<GroupMessage<'b>> {
        let conversation_id = self.conversation_id()?;
        let epoch = self.u64()?;
        let sender = match self.u8()? {
            1 => Sender::Member(self.u32()?),
            2 => {
                self.u32()?;
                Sender::Outside
            }
            3 | 4 => Sender::Outside,
            _ => return Err(Flaw::Malformed),
        };
        self.copied()?;
        let content = self.content_type()?;
        match content {
            Content::Application => drop(self.copied()?),
            Content::Proposal => self.proposal()?,
            Content::Commit => self.commit()?,
        }
        self.copied()?;
        if content == Content::Commit {
            self.copied()?;
        }
        if let Sender::Member(_) = sender {
            self.copied()?;
        }
        // Anybody can sign such a message, and the signature of each leaf in it is verified. Nobody
        // needs more than its own.
        if sender == Sender::Outside && self.room.leaves.get() > 1 {
            return Err(Flaw::TooLarge);
        }
        Ok(GroupMessage {
            conversation_id,
            epoch,
            content,
            encrypted: false,
            sender,
        })
    }

    fn private_message(&mut self) -> Result<GroupMessage<'b>> {
        let conversation_id = self.conversation_id()?;
        let epoch = self.u64()?;
        let content = self.content_type()?;
        self.opaque()?;
        if self.opaque()?.len() > MAX_SENDER_DATA {
            return Err(Flaw::TooLarge);
        }
        self.opaque()?;
        Ok(GroupMessage {
            conversation_id,
            epoch,
            content,
            encrypted: true,
            sender: Sender::SomeMember,
        })
    }

    fn welcome(&mut self) -> Result<Welcome<'b>> {
        let cipher_suite = self.cipher_suite()?;
        let secrets = self.opaque()?;
        let mut reader = Reader::new(secrets, self.room);
        let mut count = 0;
        while !reader.rest.is_empty() {
            count += 1;
            if count > MAX_WELCOME_SECRETS {
                return Err(Flaw::TooLarge);
            }
            reader.secrets()?;
        }
        let group_info = self.rest;
        // Encrypting has made it 16 bytes longer, in all suites.
        if self.opaque()?.len() > MAX_GROUP_INFO + 16 {
            return Err(Flaw::TooLarge);
        }
        let group_info = &group_info[..group_info.len() - self.rest.len()];
        Ok(Welcome {
            cipher_suite,
            secrets,
            group_info,
        })
    }

    fn secrets(&mut self) -> Result<Secrets<'b>> {
        let before = self.rest;
        let reference = self.opaque()?;
        self.opaque()?;
        self.opaque()?;
        let bytes = &before[..before.len() - self.rest.len()];
        if bytes.len() > MAX_GROUP_SECRETS {
            return Err(Flaw::TooLarge);
        }
        Ok(Secrets { reference, bytes })
    }

    fn group_info(&mut self) -> Result<GroupInfo<'b>> {
        let whole = self.rest;
        self.u16()?;
        let cipher_suite = self.cipher_suite()?;
        let conversation_id = self.conversation_id()?;
        let epoch = self.u64()?;
        self.copied()?;
        self.copied()?;
        self.extensions()?;
        let extensions = self.rest;
        self.extensions()?;
        self.copied()?;
        let signer = self.u32()?;
        let signed = &whole[..whole.len() - self.rest.len()];
        let signature = self.copied()?;
        let tree = extension_among(extensions, RATCHET_TREE)?;
        let signature_key = tree.map(|tree| signature_key_of(tree, signer)).transpose()?.flatten();
        Ok(GroupInfo {
            cipher_suite,
            conversation_id,
            epoch,
            tree,
            signature_key,
            signed,
            signature,
            decoded: 0,
        })
    }

    fn extensions(&mut self) -> Result<()> {
        self.each(|elements| {
            let kind = elements.u16()?;
            let data = elements.copied()?;
            elements.charge(weight::EXTENSION)?;
            let mut data = Reader::new(data, elements.room);
            match kind {
                APPLICATION_ID | EXTERNAL_PUB => drop(data.copied()?),
                RATCHET_TREE => data.ratchet_tree(|_, _| ())?,
                REQUIRED_CAPABILITIES => (0..3).try_for_each(|_| data.capabilities())?,
                EXTERNAL_SENDERS => data.each(|senders| {
                    senders.charge(weight::EXTERNAL_SENDER)?;
                    senders.copied()?;
                    senders.credential()
                })?,
                LAST_RESORT => {}
                _ => {
                    // It is kept as it is.
                    data.charge(data.rest.len())?;
                    data.rest = &[];
                }
            }
            data.end()
        })
    }

    /// A ratchet tree; `seen` is told of each leaf and its place among the nodes.
    fn ratchet_tree(&mut self, mut seen: impl FnMut(u64, Leaf<'b>)) -> Result<()> {
        let mut place = 0;
        self.each(|nodes| {
            nodes.charge(weight::NODE)?;
            if nodes.optional()? {
                match nodes.u8()? {
                    1 => seen(place, nodes.leaf()?),
                    2 => {
                        nodes.charge(weight::PARENT)?;
                        nodes.copied()?;
                        nodes.copied()?;
                        nodes.each(|leaves| {
                            leaves.u32()?;
                            leaves.charge(weight::UNMERGED_LEAF)
                        })?;
                    }
                    _ => return Err(Flaw::Malformed),
                }
            }
            place += 1;
            Ok(())
        })
    }

    fn leaf(&mut self) -> Result<Leaf<'b>> {
        self.charge(weight::LEAF)?;
        self.room.leaves.set(self.room.leaves.get() + 1);
        self.copied()?;
        let signature_key = self.copied()?;
        self.credential()?;
        (0..5).try_for_each(|_| self.capabilities())?;
        match self.u8()? {
            1 => drop(self.take(16)?),
            2 => {}
            3 => drop(self.copied()?),
            _ => return Err(Flaw::Malformed),
        }
        let extensions = self.rest;
        self.extensions()?;
        self.copied()?;
        Ok(Leaf {
            signature_key,
            extensions,
        })
    }

    fn credential(&mut self) -> Result<()> {
        const BASIC: u16 = 1;
        let kind = self.u16()?;
        let content = self.copied()?;
        if kind == BASIC && content.len() > MAX_ID_LENGTH {
            return Err(Flaw::TooLarge);
        }
        Ok(())
    }

    fn capabilities(&mut self) -> Result<()> {
        self.each(|numbers| {
            numbers.u16()?;
            numbers.charge(weight::CAPABILITY)
        })
    }

    /// A key package; its suite.
    fn key_package(&mut self) -> Result<u16> {
        self.charge(weight::KEY_PACKAGE)?;
        self.u16()?;
        let suite = self.cipher_suite()?;
        self.copied()?;
        self.leaf()?;
        self.extensions()?;
        self.copied()?;
        Ok(suite)
    }

    fn commit(&mut self) -> Result<()> {
        self.each(|proposals| {
            proposals.charge(weight::VECTOR)?;
            match proposals.u8()? {
                1 => proposals.proposal(),
                2 => proposals.copied().map(drop),
                _ => Err(Flaw::Malformed),
            }
        })?;
        if !self.optional()? {
            return Ok(());
        }
        self.leaf()?;
        self.each(|nodes| {
            nodes.charge(weight::PATH_NODE)?;
            nodes.copied()?;
            nodes.each(|secrets| {
                secrets.charge(weight::PATH_SECRET)?;
                secrets.copied()?;
                secrets.copied().map(drop)
            })
        })
    }

    /// A proposal (RFC 9420 section 12.1).
    fn proposal(&mut self) -> Result<()> {
        self.charge(weight::PROPOSAL)?;
        match self.u16()? {
            1 => drop(self.key_package()?),
            2 => {
                self.leaf()?;
            }
            3 => drop(self.u32()?),
            4 => self.pre_shared_key()?,
            5 => {
                self.copied()?;
                self.u16()?;
                self.cipher_suite()?;
                self.extensions()?;
            }
            7 => self.extensions()?,
            SELF_REMOVE => {}
            // The key of an external init, and whatever stands in a proposal that is not known.
            _ => drop(self.copied()?),
        }
        Ok(())
    }

    fn pre_shared_key(&mut self) -> Result<()> {
        match self.u8()? {
            1 => drop(self.copied()?),
            2 => {
                if !(1..=3).contains(&self.u8()?) {
                    return Err(Flaw::Malformed);
                }
                self.copied()?;
                self.u64()?;
            }
            _ => return Err(Flaw::Malformed),
        }
        self.copied()?;
        Ok(())
    }
}

/// Writes a vector of bytes of a message that was read, with its length before it (RFC 9420 section
/// 2.1.2).
fn put_opaque(to: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a message is smaller than that");
    match length {
        0..0x40 => to.extend(&length.to_be_bytes()[3..]),
        0x40..0x4000 => to.extend(&(0x4000 | length).to_be_bytes()[2..]),
        _ => to.extend((0x8000_0000 | length).to_be_bytes()),
    }
    to.extend(bytes);
}

const APPLICATION_ID: u16 = 1;
const RATCHET_TREE: u16 = 2;
const REQUIRED_CAPABILITIES: u16 = 3;
const EXTERNAL_PUB: u16 = 4;
const EXTERNAL_SENDERS: u16 = 5;
const LAST_RESORT: u16 = 10;
const SELF_REMOVE: u16 = 10;

/// The data of the extension of this kind among extensions that were read already.
fn extension_among(extensions: &[u8], kind: u16) -> Result<Option<&[u8]>> {
    let room = Room::of(0);
    let mut extensions = Reader::new(extensions, &room).inside()?;
    while !extensions.rest.is_empty() {
        let (found, data) = (extensions.u16()?, extensions.opaque()?);
        if found == kind {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// The signature key of a leaf of a tree that was read already.
fn signature_key_of(tree: &[u8], leaf_index: u32) -> Result<Option<&[u8]>> {
    let room = Room::of(usize::MAX);
    let mut signature_key = None;
    Reader::new(tree, &room).ratchet_tree(|place, leaf| {
        if place == 2 * u64::from(leaf_index) {
            signature_key = Some(leaf.signature_key);
        }
    })?;
    Ok(signature_key)
}
