//! Ratchet trees that travel beside a Welcome (RFC 9420 section 12.4.3.3): a Welcome for a large
//! group need not carry its tree.

use openmls::group::JoinBuilder;
use openmls::prelude::{RatchetTreeIn, WelcomeError};
use tls_codec::DeserializeBytes;

use crate::error::{Code, Error, Result};
use crate::frame::{self, Flaw};
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
    match frame::ratchet_tree(bytes) {
        Ok(()) => {}
        Err(Flaw::TooLarge) => {
            return Err(missing(
                "The ratchet tree that was given is larger than any that is accepted. Fetch the tree of the conversation and epoch \
                 in this error's context.",
            ));
        }
        Err(flaw @ Flaw::Malformed) => return Err(no_tree().caused_by(flaw)),
    }
    RatchetTreeIn::tls_deserialize_exact_bytes(bytes).map_err(|cause| no_tree().caused_by(cause))
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
