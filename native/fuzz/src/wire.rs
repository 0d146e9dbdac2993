//! What messages are made of, byte by byte.

/// A vector: its length as RFC 9420 section 2.1.2 has it, and what is in it.
pub fn vector(content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..0x40 => vec![length as u8],
        0x40..0x4000 => (length as u16 | 0x4000).to_be_bytes().to_vec(),
        _ => (length as u32 | 0x8000_0000).to_be_bytes().to_vec(),
    };
    [&head, content].concat()
}

/// An extension (section 7.2).
pub fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(data)].concat()
}

/// An MLSMessage of this wire format (section 6).
pub fn message(wire_format: u16, body: &[u8]) -> Vec<u8> {
    [&[0, 1], &wire_format.to_be_bytes()[..], body].concat()
}
