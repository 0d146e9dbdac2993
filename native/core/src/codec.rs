//! How values are written in the keystore: MessagePack maps with byte strings.
//!
//! OpenMLS supports self-describing formats only, and its secrets serialise as lists of integers unless bytes are forced;
//! this form is the smallest and fastest of those that work.

use rmp_serde::config::BytesMode;
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};

/// Bytes of a value that may be secret; wiped when dropped.
pub(crate) type Secret = Zeroizing<Vec<u8>>;

pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Secret> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(256));
    let mut serializer = rmp_serde::Serializer::new(&mut *bytes)
        .with_struct_map()
        .with_bytes(BytesMode::ForceAll);
    value
        .serialize(&mut serializer)
        .map_err(|cause| Error::internal("a value could not be encoded").caused_by(cause))?;
    Ok(bytes)
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
