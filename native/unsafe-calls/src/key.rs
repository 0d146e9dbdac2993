//! Keys a SQLCipher connection without the key ever becoming SQL text.
//!
//! `PRAGMA key` would put the key into a statement: into SQLite's parser, its statement cache and whatever traces
//! statements. SQLCipher's C function takes it as bytes.

use rusqlite::{Connection, Error, Result, ffi};
use zeroize::Zeroizing;

/// Gives the connection its 32-byte key, used as it is: nothing is derived from it.
///
/// Must come before the first read of the file. Says nothing about whether the key is right; the first read does
/// (`SQLITE_NOTADB`). Fails when SQLCipher cannot set up its cipher.
pub fn key(connection: &Connection, key: &[u8; 32]) -> Result<()> {
    let raw_key = raw_key(key);
    // SAFETY: the handle is open as long as `connection` is borrowed, and only this thread uses it (`Connection` is not
    // `Sync`); "main" is NUL-terminated; the pointer and length describe `raw_key`, which SQLCipher only reads and copies.
    let code = unsafe {
        ffi::sqlite3_key_v2(
            connection.handle(),
            c"main".as_ptr(),
            raw_key.as_ptr().cast(),
            RAW_KEY_LENGTH as i32,
        )
    };
    if code == ffi::SQLITE_OK {
        Ok(())
    } else {
        Err(Error::SqliteFailure(ffi::Error::new(code), None))
    }
}

const RAW_KEY_LENGTH: usize = 2 + 64 + 1;

/// SQLCipher's form of a key that needs no derivation: `x'…'` around 64 hexadecimal digits.
fn raw_key(key: &[u8; 32]) -> Zeroizing<[u8; RAW_KEY_LENGTH]> {
    let mut text = Zeroizing::new([b'\''; RAW_KEY_LENGTH]);
    text[0] = b'x';
    for (digits, byte) in text[2..66].chunks_exact_mut(2).zip(key) {
        digits[0] = hex_digit(byte >> 4);
        digits[1] = hex_digit(byte & 0x0f);
    }
    text
}

/// Arithmetic instead of a table: where it reads from memory does not depend on the key.
fn hex_digit(nibble: u8) -> u8 {
    b'0' + nibble + u8::from(nibble > 9) * (b'a' - b'9' - 1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_key_is_written_as_sqlcipher_reads_it() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&[0x01, 0x9a, 0xaf, 0xff]);
        assert_eq!(
            super::raw_key(&key).as_slice(),
            format!("x'019aafff{}'", "0".repeat(56)).as_bytes()
        );
    }
}
