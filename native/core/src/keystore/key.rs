//! The key of the keystore file.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::{Error, Result};

/// The 32 bytes that encrypt a keystore; wiped when dropped, never printed.
///
/// Boxed, so that moving it leaves no copies behind.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DatabaseKey(Box<[u8; 32]>);

impl DatabaseKey {
    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for DatabaseKey {
    type Error = Error;

    /// Copies the bytes; wiping the original is the caller's. `INVALID_ARGUMENT` unless there are exactly 32 of them, and
    /// for 32 zeros, which are what is left of a key that was wiped too early.
    fn try_from(bytes: &[u8]) -> Result<Self> {
        if bytes.len() != 32 {
            let length = bytes.len();
            return Err(Error::invalid(format!(
                "A database key has 32 bytes, not {length}. Give 32 random bytes."
            )));
        }
        if bytes.iter().fold(0, |seen, byte| seen | byte) == 0 {
            return Err(Error::invalid(
                "This database key is all zeros. Give 32 random bytes, and wipe them only after.",
            ));
        }
        let mut key = Box::new([0; 32]);
        key.copy_from_slice(bytes);
        Ok(DatabaseKey(key))
    }
}

impl fmt::Debug for DatabaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::DatabaseKey;
    use crate::error::Code;

    #[test]
    fn only_32_bytes_that_are_not_all_zero_are_a_key() {
        for wrong in [&[][..], &[7; 31], &[7; 33], &[0; 32]] {
            assert_eq!(
                DatabaseKey::try_from(wrong).map(drop).map_err(|e| e.code()),
                Err(Code::InvalidArgument)
            );
        }
        assert!(DatabaseKey::try_from(&[7; 32][..]).is_ok());
    }

    #[test]
    fn a_key_does_not_print_itself() {
        let key = DatabaseKey::try_from(&[0xab; 32][..]).expect("32 bytes");
        assert_eq!(format!("{key:?} {key:#?}"), "DatabaseKey(..) DatabaseKey(..)");
    }
}
