//! Bytes as decisions, and messages changed by them.

/// Reads decisions from bytes; all are zero once the bytes are used up.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        Choices(bytes)
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub fn number(&mut self) -> u64 {
        (0..4).fold(0, |number, _| number << 16 | u64::from(self.short()))
    }

    /// A number below this one, which may be 0: then 0.
    pub fn below(&mut self, limit: usize) -> usize {
        match limit {
            0 | 1 => 0,
            2..=256 => usize::from(self.byte()) % limit,
            _ => usize::from(self.short()) % limit,
        }
    }

    pub fn one_of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }

    /// The next bytes; fewer than asked for where there are no more.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Numbers at which lengths and indices go wrong.
const ODD: [u64; 10] = [
    0,
    1,
    0x3f,
    0x40,
    0x3fff,
    0x4000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    u64::MAX,
];

/// Changes the bytes, mostly in one place. `others` are spliced in.
pub fn change(bytes: &mut Vec<u8>, others: &[Vec<u8>], choices: &mut Choices<'_>) {
    for _ in 0..[1, 1, 1, 1, 1, 2, 2, 4][choices.below(8)] {
        let at = choices.below(bytes.len());
        match choices.below(9) {
            0 => flip(bytes, at, 1 << choices.below(8)),
            1 => flip(bytes, at, choices.byte()),
            2 => drop(bytes.drain(at..(at + 1 + choices.below(16)).min(bytes.len()))),
            3 => {
                let count = 1 + choices.below(16);
                drop(bytes.splice(at..at, choices.take(count).to_vec()));
            }
            4 => bytes.truncate(at),
            5 => {
                let end = (at + 1 + choices.below(64)).min(bytes.len());
                let again = bytes[at.min(end)..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            6 => overwrite(bytes, at, choices),
            // A vector's length is a byte or two with the length of the length on top (RFC 9420 section 2.1.2).
            7 => {
                let length = choices.short();
                let head = if choices.flag() {
                    (length & 0x3f).to_be_bytes()[1..].to_vec()
                } else {
                    (length & 0x3fff | 0x4000).to_be_bytes().to_vec()
                };
                let end = (at + head.len()).min(bytes.len());
                drop(bytes.splice(at..end, head));
            }
            _ => {
                if let Some(other) = others.get(choices.below(others.len())) {
                    let from = choices.below(other.len() + 1);
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[from..]);
                }
            }
        }
    }
}

fn flip(bytes: &mut [u8], at: usize, with: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= with;
    }
}

fn overwrite(bytes: &mut [u8], at: usize, choices: &mut Choices<'_>) {
    let number = choices.one_of(&ODD).to_be_bytes();
    let width = [1, 2, 4, 8][choices.below(4)];
    for (byte, new) in bytes.iter_mut().skip(at).zip(&number[8 - width..]) {
        *byte = *new;
    }
}
