//! The cipher suites that the provider really carries (RFC 9420 section 17.1).

use openmls::prelude::Ciphersuite;

use crate::error::{Code, Error, Result};

/// The suites on offer, by the names of RFC 9420.
pub const CIPHER_SUITES: &[Ciphersuite] = &[
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519,
    Ciphersuite::MLS_128_DHKEMP256_AES128GCM_SHA256_P256,
    Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519,
];

/// The suite of this RFC 9420 number; fails with `CIPHER_SUITE_UNSUPPORTED`.
pub fn cipher_suite(number: u16) -> Result<Ciphersuite> {
    CIPHER_SUITES
        .iter()
        .copied()
        .find(|suite| u16::from(*suite) == number)
        .ok_or_else(|| {
            let known: Vec<String> = CIPHER_SUITES
                .iter()
                .map(|suite| u16::from(*suite).to_string())
                .collect();
            Error::new(
                Code::CipherSuiteUnsupported,
                format!(
                    "Cipher suite {number} is not supported. Use one of these of RFC 9420: {}.",
                    known.join(", ")
                ),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::CIPHER_SUITES;
    use crate::limits::{LONGEST_SECRET, MAX_SECRET_HASHES};

    #[test]
    fn the_longest_secret_is_that_of_the_longest_hash() {
        let longest = CIPHER_SUITES.iter().map(|suite| suite.hash_length()).max();
        assert_eq!(longest.map(|hash| hash * MAX_SECRET_HASHES), Some(LONGEST_SECRET));
    }
}
