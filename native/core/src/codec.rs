//! How values are written in the keystore: MessagePack maps with byte strings.
//!
//! OpenMLS supports self-describing formats only, and its secrets serialise as lists of integers unless bytes are forced;
//! this form is the smallest and fastest of those that work.

use std::fmt;

use rmp_serde::config::{BytesMode, SerializerConfig};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Bytes of a value that may be secret; wiped when dropped.
pub(crate) type Secret = Zeroizing<Vec<u8>>;

pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Secret> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(256));
    append(&mut bytes, value)?;
    Ok(bytes)
}

/// Writes the value behind what is there.
pub(crate) fn append<T: Serialize + ?Sized>(bytes: &mut Secret, value: &T) -> Result<()> {
    value
        .serialize(&mut serializer(bytes))
        .map_err(|cause| Error::internal("a value could not be encoded").caused_by(cause))
}

/// What writes values in this form behind what is there.
pub(crate) fn serializer(bytes: &mut Secret) -> rmp_serde::Serializer<&mut Vec<u8>, impl SerializerConfig> {
    rmp_serde::Serializer::new(&mut **bytes)
        .with_struct_map()
        .with_bytes(BytesMode::ForceAll)
}

/// The value that these bytes of no conversation are.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    decode_of(&[], bytes)
}

/// The value that these bytes of a conversation are; fails with `CONVERSATION_CORRUPT`. An empty
/// scope is no conversation.
pub(crate) fn decode_of<T: DeserializeOwned>(scope: &[u8], bytes: &[u8]) -> Result<T> {
    rmp_serde::from_slice(bytes).map_err(|cause| Error::damaged(scope).caused_by(Unreadable::of(&cause)))
}

/// Why a value could not be read. Serde's own words name what it found, which may be part of a secret.
#[derive(Debug)]
struct Unreadable(&'static str);

impl Unreadable {
    fn of(cause: &rmp_serde::decode::Error) -> Self {
        use rmp_serde::decode::Error;
        Unreadable(match cause {
            Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_) => "The value ends too early.",
            Error::TypeMismatch(_) => "A part of the value is of another type than it should be.",
            Error::OutOfRange => "A number in the value is too large.",
            Error::LengthMismatch(_) => "A list in the value has another length than it should have.",
            Error::Utf8Error(_) => "A text in the value is no UTF-8.",
            Error::DepthLimitExceeded => "The value is nested too deeply.",
            Error::Uncategorized(_) | Error::Syntax(_) => "The value is of another form than it should be.",
        })
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unreadable {}
