//! How values are written in the keystore: MessagePack maps with byte strings.
//!
//! OpenMLS supports self-describing formats only, and its secrets serialise as lists of integers unless bytes are forced;
//! this form is the smallest and fastest of those that work.

use rmp_serde::config::{BytesMode, SerializerConfig};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};

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

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    rmp_serde::from_slice(bytes).map_err(|cause| {
        Error::new(
            Code::DatabaseCorrupt,
            "The keystore holds a value that cannot be read. Restore the keystore from before the damage, or create a new client.",
        )
        .caused_by(cause)
    })
}
