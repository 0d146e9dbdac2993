//! Ids of clients and conversations: opaque bytes, and the text that shows them.

use std::fmt::Write;

use crate::error::{Error, Result};
use crate::limits::MAX_ID_LENGTH;

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

/// The text of an id, from which its bytes can be had back: UTF-8 without invisible characters as it is, unless it begins
/// with `0x`; everything else as `0x` and hexadecimal digits.
pub fn display_id(id: &[u8]) -> String {
    match std::str::from_utf8(id) {
        Ok(text) if !text.is_empty() && !text.starts_with("0x") && !text.chars().any(is_invisible) => text.to_owned(),
        _ => format!("0x{}", hex(id)),
    }
}

/// Whether a character can make a name look like another one, or write into a log what is not there: control characters, format
/// characters (those for bidirectional text among them), and the separators of lines and paragraphs.
fn is_invisible(character: char) -> bool {
    let code = u32::from(character);
    let after = INVISIBLE.partition_point(|(first, _)| *first <= code);
    after > 0 && code <= INVISIBLE[after - 1].1
}

/// The code points of the categories Cc, Cf, Zl and Zp, as of Unicode 16: first and last of each range, in order. The same table
/// is in lib/id.ts; a test holds the two together.
#[rustfmt::skip]
const INVISIBLE: &[(u32, u32)] = &[
    (0x0000, 0x001f),
    (0x007f, 0x009f),
    (0x00ad, 0x00ad),
    (0x0600, 0x0605),
    (0x061c, 0x061c),
    (0x06dd, 0x06dd),
    (0x070f, 0x070f),
    (0x0890, 0x0891),
    (0x08e2, 0x08e2),
    (0x180e, 0x180e),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x2064),
    (0x2066, 0x206f),
    (0xfeff, 0xfeff),
    (0xfff9, 0xfffb),
    (0x110bd, 0x110bd),
    (0x110cd, 0x110cd),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0001, 0xe0001),
    (0xe0020, 0xe007f),
];

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
    fn text_with_characters_that_nobody_sees_is_shown_as_hexadecimal() {
        for hidden in [
            "a\u{9b}31m",
            "alice\u{202e}",
            "\u{feff}alice",
            "ali\u{200b}ce",
            "a\u{2028}b",
            "a\u{e0041}",
        ] {
            assert_eq!(display_id(hidden.as_bytes()), format!("0x{}", hex(hidden.as_bytes())));
        }
        for plain in ["a b", "a\u{a0}b", "\u{301}e", "日本語", "🙂", "\u{110be}", "\u{fffd}"] {
            assert_eq!(display_id(plain.as_bytes()), plain);
        }
        assert!(INVISIBLE.is_sorted_by(|one, next| one.1 < next.0));
        assert_eq!(('\0'..=char::MAX).filter(|one| is_invisible(*one)).count(), 237);
        assert!(('\0'..=char::MAX).all(|one| is_invisible(one) || !one.is_control()));
    }

    #[test]
    fn hexadecimal_digits_round_trip_and_nonsense_does_not_parse() {
        assert_eq!(from_hex(&hex(&[0, 127, 255])), Some(vec![0, 127, 255]));
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("zz"), None);
        assert_eq!(from_hex("+1"), None);
    }
}
