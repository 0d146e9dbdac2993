//! Ratchet trees that travel beside a Welcome (RFC 9420 section 12.4.3.3): a Welcome for a large
//! group need not carry its tree.

use openmls::group::JoinBuilder;
use openmls::prelude::{RatchetTreeIn, WelcomeError};
use tls_codec::DeserializeBytes;

use crate::error::{Code, Error, Result};
use crate::limits::{MAX_MESSAGE, MAX_TREE_NODES};
use crate::provider::Provider;

/// Where the tree of a Welcome comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// An extension of the GroupInfo in the Welcome.
    Welcome,
    /// The caller, who has it from the delivery service.
    Beside,
}

/// Gives the join the tree that it needs. The tree in the Welcome counts, where there is one: it is
/// signed by the member who invites. Fails with `RATCHET_TREE_MISSING`.
pub(crate) fn with_ratchet_tree<'a>(
    builder: JoinBuilder<'a, Provider>,
    beside: Option<&[u8]>,
) -> Result<(JoinBuilder<'a, Provider>, Source)> {
    let info = builder.processed_welcome().unverified_group_info();
    if info.extensions().ratchet_tree().is_some() {
        return Ok((builder, Source::Welcome));
    }
    let bytes = beside.ok_or_else(|| {
        missing(
            "The Welcome comes without the ratchet tree of the conversation, and none was given with it. Fetch the tree of the \
             conversation and epoch in this error's context, and pass it as ratchetTree.",
        )
    })?;
    Ok((builder.with_ratchet_tree(read(bytes)?), Source::Beside))
}

/// The bytes are those of the field `ratchet_tree` in RFC 9420 section 12.4.3.3: a vector of optional
/// nodes, without a frame around it.
fn read(bytes: &[u8]) -> Result<RatchetTreeIn> {
    if bytes.len() > MAX_MESSAGE {
        return Err(missing(&format!(
            "The ratchet tree that was given has more than {MAX_MESSAGE} bytes. Fetch the tree of the conversation and epoch in \
             this error's context.",
        )));
    }
    let nodes = count_nodes(bytes).ok_or_else(no_tree)?;
    if nodes > MAX_TREE_NODES {
        return Err(missing(&format!(
            "The ratchet tree that was given has more than {MAX_TREE_NODES} nodes. Fetch the tree of the conversation and epoch \
             in this error's context.",
        )));
    }
    RatchetTreeIn::tls_deserialize_exact_bytes(bytes).map_err(|cause| no_tree().caused_by(cause))
}

/// How many nodes the tree has, without keeping any: a blank node is one byte here, and some hundred
/// bytes when it is decoded. `None` where the bytes are no tree.
fn count_nodes(bytes: &[u8]) -> Option<usize> {
    let (mut nodes, []) = vector(bytes)? else { return None };
    let mut count = 0;
    while let [present, rest @ ..] = nodes {
        nodes = match (present, rest) {
            (0, rest) => rest,
            (1, [LEAF, leaf @ ..]) => after_leaf(leaf)?,
            (1, [PARENT, parent @ ..]) => after_vectors(parent, 3)?,
            _ => return None,
        };
        count += 1;
    }
    Some(count)
}

const LEAF: u8 = 1;
const PARENT: u8 = 2;

/// What follows a leaf node (RFC 9420 section 7.2).
fn after_leaf(bytes: &[u8]) -> Option<&[u8]> {
    let (_credential_type, rest) = after_vectors(bytes, 2)?.split_at_checked(2)?;
    // The credential, and the five lists of the capabilities.
    let (source, rest) = after_vectors(rest, 1 + 5)?.split_first()?;
    let rest = match source {
        1 => rest.get(16..)?, // Of a key package: its lifetime.
        2 => rest,
        3 => after_vectors(rest, 1)?, // Of a commit: the parent hash.
        _ => return None,
    };
    after_vectors(rest, 2)
}

fn after_vectors(bytes: &[u8], count: usize) -> Option<&[u8]> {
    (0..count).try_fold(bytes, |rest, _| Some(vector(rest)?.1))
}

/// A vector with its length in front (RFC 9420 section 2.1.2), and what follows it.
fn vector(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match *bytes {
        [short @ 0..0x40, ref rest @ ..] => (usize::from(short), rest),
        [high @ 0x40..0x80, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high & 0x3f, low])), rest),
        [high @ 0x80..0xc0, b, c, low, ref rest @ ..] => (
            usize::try_from(u32::from_be_bytes([high & 0x3f, b, c, low])).ok()?,
            rest,
        ),
        _ => return None,
    };
    rest.split_at_checked(length)
}

fn no_tree() -> Error {
    missing(
        "The bytes that were given as ratchetTree are no ratchet tree. Pass the bare vector of nodes (RFC 9420 section \
         12.4.3.3), with no frame around it.",
    )
}

/// What is said when a tree that was given beside the Welcome does not lead to its epoch.
pub(crate) fn of_another_epoch(cause: WelcomeError<Error>) -> Error {
    missing(
        "The ratchet tree that was given is not the one that the Welcome is for: it is of another epoch or conversation, or \
         was changed. Fetch the tree of the conversation and epoch in this error's context.",
    )
    .caused_by(cause)
}

fn missing(message: &str) -> Error {
    Error::new(Code::RatchetTreeMissing, message)
}
