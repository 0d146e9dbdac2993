//! Decrypts what is really in the files, page by page, without SQLite: also free pages, the gaps inside pages, and frames of
//! the write-ahead log that are no longer valid. That is what a thief who has the files and the key can read.
//!
//! A page is AES-256-CBC under the key itself; its last 80 bytes are the IV (16) and an authentication tag. The first
//! page begins with 16 bytes of salt in the clear. The log is a header and frames: 24 bytes, then a page.

use aes::Aes256;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt, KeyInit};

use super::{Folder, KEY};

const PAGE: usize = 4096;
const RESERVED: usize = 80;
const SALT: usize = 16;
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Everything the files hold, decrypted.
pub fn decrypted(folder: &Folder) -> Vec<u8> {
    let files = folder.files();
    let mut plain = Vec::new();
    for (n, page) in files["alice.db"].chunks_exact(PAGE).enumerate() {
        plain.extend(decrypt(page, n == 0));
    }
    let log = files.get("alice.db-wal").map_or(&[][..], |log| log);
    for frame in log
        .get(LOG_HEADER..)
        .unwrap_or_default()
        .chunks_exact(FRAME_HEADER + PAGE)
    {
        let number = u32::from_be_bytes(frame[..4].try_into().expect("4 bytes"));
        plain.extend(decrypt(&frame[FRAME_HEADER..], number == 1));
    }
    plain
}

fn decrypt(page: &[u8], first: bool) -> Vec<u8> {
    let (ciphertext, reserved) = page.split_at(PAGE - RESERVED);
    let ciphertext = if first { &ciphertext[SALT..] } else { ciphertext };
    let cipher = Aes256::new(GenericArray::from_slice(&KEY));
    let mut plain = Vec::with_capacity(PAGE);
    let mut previous = &reserved[..16];
    for block in ciphertext.chunks_exact(16) {
        let mut decrypted = GenericArray::clone_from_slice(block);
        cipher.decrypt_block(&mut decrypted);
        plain.extend(decrypted.iter().zip(previous).map(|(a, b)| a ^ b));
        previous = block;
    }
    plain
}
