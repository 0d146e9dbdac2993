//! Seals every value under a key of its own, so that to forget a value is to overwrite 32 bytes.
//!
//! The file as a whole is encrypted by SQLCipher. This is against someone who has its key too, later: a consumed secret must
//! be gone from the file, and SQLite leaves copies of rows behind (see `migrations/0001_initial.sql`).

use std::fmt;

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Tag};
use zeroize::Zeroizing;

use super::table::Value;

const KEY: usize = 32;
const TAG: usize = 16;

/// A key that is used once.
pub(super) type Seal = Zeroizing<[u8; KEY]>;

/// Encrypts the value under a new key. Fails when the operating system has no random numbers.
pub(super) fn seal(value: &[u8]) -> Result<(Seal, Vec<u8>), getrandom::Error> {
    let mut key = Seal::default();
    getrandom::fill(&mut *key)?;
    // With room for the tag, so that the plaintext is encrypted where it was copied to and nowhere else.
    let mut sealed = Vec::with_capacity(value.len() + TAG);
    sealed.extend_from_slice(value);
    let tag = cipher(&key)
        .encrypt_in_place_detached(&NONCE.into(), b"", &mut sealed)
        .expect("a value is shorter than the 256 GiB that ChaCha20 can encrypt");
    sealed.extend_from_slice(&tag);
    Ok((key, sealed))
}

/// Decrypts a sealed value; fails when the two do not belong together.
pub(super) fn open(key: &[u8], sealed: &[u8]) -> Result<Value, Unsealable> {
    let key = Seal::new(key.try_into().map_err(|_| Unsealable)?);
    let (ciphertext, tag) = sealed.split_last_chunk::<TAG>().ok_or(Unsealable)?;
    let mut value = Value::new(ciphertext.to_vec());
    let tag = Tag::from(*tag);
    cipher(&key)
        .decrypt_in_place_detached(&NONCE.into(), b"", &mut value, &tag)
        .map_err(|_| Unsealable)?;
    Ok(value)
}

/// A key and a value that do not belong together.
#[derive(Debug)]
pub(super) struct Unsealable;

impl fmt::Display for Unsealable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value does not open with its seal")
    }
}

impl std::error::Error for Unsealable {}

fn cipher(key: &Seal) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new((&**key).into())
}

/// Constant, since no key is used twice.
const NONCE: [u8; 12] = [0; 12];

#[cfg(test)]
mod tests {
    use super::{open, seal};

    #[test]
    fn a_value_opens_with_its_own_seal_only() {
        for value in [&b""[..], b"secret", &[7; 100_000]] {
            let (key, sealed) = seal(value).expect("random numbers");
            assert_eq!(open(&*key, &sealed).expect("its own seal").as_slice(), value);
            let (other_key, other_sealed) = seal(value).expect("random numbers");
            assert_ne!(sealed, other_sealed);
            assert!(open(&*other_key, &sealed).is_err());
            assert!(open(&[0; 32], &sealed).is_err() && open(b"", &sealed).is_err() && open(&*key, b"").is_err());
        }
    }
}
