//! Ids of clients and conversations: opaque bytes, and the text that shows them.

use std::fmt::Write;

use crate::error::{Error, Result};

/// The longest id, in bytes.
pub const MAX_ID_LENGTH: usize = 4096;

/// Refuses an empty or overlong id; `what` names it in the message.
pub(crate) fn check_id(what: &str, id: &[u8]) -> Result<()> {
    match id.len() {
        0 => Err(Error::invalid(format!("The {what} is empty. Give at least one byte."))),
        length if length > MAX_ID_LENGTH => Err(Error::invalid(format!(
            "The {what} has {length} bytes. Give at most {MAX_ID_LENGTH}, for example a hash of it."
        ))),
        _ => Ok(()),
    }
}

/// The text of an id, from which its bytes can be had back: UTF-8 without control characters as it is, unless it begins
/// with `0x`; everything else as `0x` and hexadecimal digits.
pub fn display_id(id: &[u8]) -> String {
    match std::str::from_utf8(id) {
        Ok(text) if !text.is_empty() && !text.starts_with("0x") && !text.chars().any(|c| c.is_ascii_control()) => {
            text.to_owned()
        }
        _ => format!("0x{}", hex(id)),
    }
}

/// Lowercase hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
}

/// The bytes of hexadecimal digits; `None` for anything else.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_it_is_and_other_bytes_as_hexadecimal() {
        assert_eq!(display_id(b"alice:laptop"), "alice:laptop");
        assert_eq!(display_id("Zoë".as_bytes()), "Zoë");
        assert_eq!(display_id(b"a\0b"), "0x610062");
        assert_eq!(display_id(b"0xff"), "0x30786666");
        assert_eq!(display_id(&[0xff, 0x01]), "0xff01");
    }

    #[test]
    fn hexadecimal_digits_round_trip_and_nonsense_does_not_parse() {
        assert_eq!(from_hex(&hex(&[0, 127, 255])), Some(vec![0, 127, 255]));
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("zz"), None);
        assert_eq!(from_hex("+1"), None);
    }
}
