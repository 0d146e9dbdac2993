//! Seals every value under a key of its own, so that to forget a value is to overwrite 32 bytes.
//!
//! The file as a whole is encrypted by SQLCipher. This is against someone who has its key too, later: a consumed secret must
//! be gone from the file, and SQLite leaves copies of rows behind (see `migrations/0001_initial.sql`).
//!
//! A value is bound to its row: which row it is of is authenticated with it. A value that was moved
//! to another row, with its key, does not open there.

use std::fmt;

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Tag};
use zeroize::Zeroizing;

use super::pending::RowId;
use super::table::Value;

const KEY: usize = 32;
const TAG: usize = 16;

/// A key that is used once.
pub(super) type Seal = Zeroizing<[u8; KEY]>;

/// Encrypts the value of this row under a new key. Fails when the operating system has no random
/// numbers.
pub(super) fn seal(id: &RowId, value: &[u8]) -> Result<(Seal, Vec<u8>), getrandom::Error> {
    let mut key = Seal::default();
    getrandom::fill(&mut *key)?;
    // With room for the tag, so that the plaintext is encrypted where it was copied to and nowhere else.
    let mut sealed = Vec::with_capacity(value.len() + TAG);
    sealed.extend_from_slice(value);
    let tag = cipher(&key)
        .encrypt_in_place_detached(&NONCE.into(), &place(id), &mut sealed)
        .expect("a value is shorter than the 256 GiB that ChaCha20 can encrypt");
    sealed.extend_from_slice(&tag);
    Ok((key, sealed))
}

/// Decrypts the sealed value of this row; fails when the three do not belong together.
pub(super) fn open(id: &RowId, key: &[u8], sealed: &[u8]) -> Result<Value, Unsealable> {
    let key = Seal::new(key.try_into().map_err(|_| Unsealable)?);
    let (ciphertext, tag) = sealed.split_last_chunk::<TAG>().ok_or(Unsealable)?;
    let mut value = Value::new(ciphertext.to_vec());
    let tag = Tag::from(*tag);
    cipher(&key)
        .decrypt_in_place_detached(&NONCE.into(), &place(id), &mut value, &tag)
        .map_err(|_| Unsealable)?;
    Ok(value)
}

/// Which row it is, as bytes that no two rows have in common: the length of the scope says where
/// its key begins.
fn place(id: &RowId) -> Vec<u8> {
    let RowId { entity, scope, key } = id;
    [&[*entity as u8][..], &(scope.len() as u64).to_be_bytes(), scope, key].concat()
}

/// A key and a value that do not belong together, or not to this row.
#[derive(Clone, Copy, Debug)]
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
    use super::super::Entity;
    use super::super::pending::RowId;
    use super::{open, seal};

    fn row(entity: Entity, scope: &[u8], key: &[u8]) -> RowId {
        let (scope, key) = (scope.to_vec(), key.to_vec());
        RowId { entity, scope, key }
    }

    #[test]
    fn a_value_opens_with_its_own_seal_only() {
        let row = row(Entity::Data, b"team", b"key");
        for value in [&b""[..], b"secret", &[7; 100_000]] {
            let (key, sealed) = seal(&row, value).expect("random numbers");
            assert_eq!(open(&row, &*key, &sealed).expect("its own seal").as_slice(), value);
            let (other_key, other_sealed) = seal(&row, value).expect("random numbers");
            assert_ne!(sealed, other_sealed);
            for (key, sealed) in [
                (&other_key[..], &sealed[..]),
                (&[0; 32], &sealed),
                (b"", &sealed),
                (&key[..], b""),
            ] {
                assert!(open(&row, key, sealed).is_err());
            }
        }
    }

    #[test]
    fn a_value_opens_in_its_own_row_only() {
        let own = row(Entity::Data, b"team", b"key");
        let (key, sealed) = seal(&own, b"secret").expect("random numbers");
        for other in [
            row(Entity::Tree, b"team", b"key"),
            row(Entity::Data, b"family", b"key"),
            row(Entity::Data, b"team", b"other"),
            // The same bytes in a row, divided elsewhere.
            row(Entity::Data, b"teamk", b"ey"),
            row(Entity::Data, b"", b"teamkey"),
        ] {
            assert!(open(&other, &*key, &sealed).is_err(), "{other:?}");
        }
        assert!(open(&own, &*key, &sealed).is_ok());
    }
}
