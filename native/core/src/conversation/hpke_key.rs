//! Public keys of HPKE (RFC 9180) that come from others.

use openmls::prelude::{Ciphersuite, OpenMlsCrypto};
use openmls_traits::types::HpkeKemType;
use tls_codec::{DeserializeBytes, Serialize, VLBytes};

/// Whether something can be encrypted to this key. A leaf or a parent node with any other key would
/// make every later path fail that has to be encrypted to it.
pub(crate) fn can_be_encrypted_to(crypto: &impl OpenMlsCrypto, suite: Ciphersuite, key: &[u8]) -> bool {
    match suite.hpke_kem_algorithm() {
        // Looked up, since a trial costs as much as verifying a signature.
        HpkeKemType::DhKem25519 => key.len() == 32 && !is_of_low_order(key),
        _ => crypto.hpke_seal(suite.hpke_config(), key, &[], &[], &[]).is_ok(),
    }
}

/// The same for what begins with a key, as RFC 9420 writes it: a key itself, or a parent node.
pub(crate) fn written_key_can_be_encrypted_to(
    crypto: &impl OpenMlsCrypto,
    suite: Ciphersuite,
    begins_with_key: &impl Serialize,
) -> bool {
    let Ok(bytes) = begins_with_key.tls_serialize_detached() else {
        return false;
    };
    let Ok((key, _)) = VLBytes::tls_deserialize_bytes(&bytes) else {
        return false;
    };
    can_be_encrypted_to(crypto, suite, key.as_slice())
}

/// The points of small order on Curve25519 as X25519 reads them, least byte first, without the top
/// bit, which X25519 ignores (RFC 7748 sections 5 and 6.1). With them every secret is zero.
fn is_of_low_order(key: &[u8]) -> bool {
    let mut key: Vec<u8> = key.to_vec();
    if let Some(last) = key.last_mut() {
        *last &= 0x7f;
    }
    let (first, rest) = (key[0], &key[1..31]);
    let near_the_prime = key[31] == 0x7f && rest.iter().all(|byte| *byte == 0xff) && (0xec..=0xee).contains(&first);
    let near_zero = key[31] == 0 && rest.iter().all(|byte| *byte == 0) && first <= 1;
    near_zero || near_the_prime || ORDER_EIGHT.iter().any(|point| point.as_slice() == key)
}

const ORDER_EIGHT: [[u8; 32]; 2] = [
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
];

#[cfg(test)]
mod tests {
    use openmls_rust_crypto::RustCrypto;

    use super::*;

    #[test]
    fn what_is_looked_up_is_what_a_trial_would_find() {
        let crypto = RustCrypto::default();
        let suite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
        let opens = |key: &[u8]| crypto.hpke_seal(suite.hpke_config(), key, &[], &[], &[]).is_ok();
        let mut of_low_order: Vec<[u8; 32]> = ORDER_EIGHT.to_vec();
        for first in 0..=1 {
            let mut point = [0; 32];
            point[0] = first;
            of_low_order.push(point);
        }
        for first in 0xec..=0xee {
            let mut point = [0xff; 32];
            (point[0], point[31]) = (first, 0x7f);
            of_low_order.push(point);
        }
        for mut point in of_low_order {
            for top in [0, 0x80] {
                point[31] |= top;
                assert_eq!(can_be_encrypted_to(&crypto, suite, &point), opens(&point), "{point:x?}");
                assert!(!can_be_encrypted_to(&crypto, suite, &point), "{point:x?}");
            }
        }
        for length in [0, 1, 31, 33, 65] {
            let key = vec![9; length];
            assert!(!can_be_encrypted_to(&crypto, suite, &key) && !opens(&key), "{length}");
        }
        for first in 2..200 {
            let mut key = [7; 32];
            key[0] = first;
            assert!(can_be_encrypted_to(&crypto, suite, &key) && opens(&key));
        }
    }

    #[test]
    fn points_beside_the_curve_are_found_by_trial() {
        let crypto = RustCrypto::default();
        let suite = Ciphersuite::MLS_128_DHKEMP256_AES128GCM_SHA256_P256;
        assert!(!can_be_encrypted_to(&crypto, suite, &[4; 65]));
        assert!(!can_be_encrypted_to(&crypto, suite, &[]));
    }
}
