//! What bytes cost that nobody has signed: memory is counted, and is bounded whatever they claim to
//! be.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use conclave_core::conversation::receive::ReceiveOptions;
use conclave_core::conversation::received::{Received, What};
use conclave_core::error::Code;
use conclave_core::frame::{self, Flaw};
use conclave_core::inspect::inspect_message;
use conclave_core::limits::{
    MAX_DECODED, MAX_DECODED_UNSIGNED, MAX_GROUP_INFO, MAX_MESSAGE, MAX_PUBLIC_MESSAGE, MAX_WELCOME_SECRETS,
};
use openmls::prelude::{Ciphersuite, KeyPackageIn, MlsMessageBodyIn, MlsMessageIn, OpenMlsCrypto, ProtocolVersion};
use openmls_rust_crypto::RustCrypto;
use support::{Client, TEAM, client, founded, team};
use tls_codec::DeserializeBytes;

/// Counts what is allocated, and the most that was at a time.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// One measurement at a time; the tests of this file do nothing outside one.
static MEASURING: Mutex<()> = Mutex::new(());

// SAFETY: the system's allocator does the work, with the very arguments; the counters change
// nothing of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(now, Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const MIB: usize = 1024 * 1024;
/// What one input may cost beside its own bytes until it is authenticated.
const MOST_UNSIGNED: usize = 16 * MIB;

/// What the work has allocated at most at a time.
fn cost_of<R>(work: impl FnOnce() -> R) -> (usize, R) {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    let result = work();
    (MOST.load(Relaxed) - before, result)
}

fn vector(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("small");
    let mut vector = match length {
        0..0x40 => length.to_be_bytes()[3..].to_vec(),
        0x40..0x4000 => (0x4000 | length).to_be_bytes()[2..].to_vec(),
        _ => (0x8000_0000 | length).to_be_bytes().to_vec(),
    };
    vector.extend(bytes);
    vector
}

fn repeated(unit: &[u8], size: usize) -> Vec<u8> {
    unit.repeat(size / unit.len())
}

/// The smallest leaf there can be, with these capabilities and extensions.
fn leaf(capabilities: &[u8], extensions: &[u8]) -> Vec<u8> {
    [
        &[0, 0, 0, 1, 0][..],
        &vector(capabilities),
        &[0, 0, 0, 0, 2],
        &vector(extensions),
        &[0],
    ]
    .concat()
}

fn key_package(leaf: &[u8]) -> Vec<u8> {
    [&[0, 1, 0, 1, 0][..], leaf, &[0, 0]].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(data)].concat()
}

/// A GroupInfo with this ratchet tree, by itself.
fn info_of_tree(nodes: &[u8]) -> Vec<u8> {
    info(&[], &extension(2, &vector(nodes)))
}

fn info(context_extensions: &[u8], extensions: &[u8]) -> Vec<u8> {
    [
        &[0, 1, 0, 1, 1, b'g', 0, 0, 0, 0, 0, 0, 0, 1, 0, 0][..],
        &vector(context_extensions),
        &vector(extensions),
        &[0, 0, 0, 0, 0, 0],
    ]
    .concat()
}

fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    [&[0, 1][..], &kind.to_be_bytes(), body].concat()
}

/// A PublicMessage of the member of leaf 0 with this content.
fn public(content: u8, body: &[u8]) -> Vec<u8> {
    let frame = [
        &vector(TEAM)[..],
        &1u64.to_be_bytes(),
        &[1, 0, 0, 0, 0, 0, content],
        body,
        &[0],
        if content == 3 { &[0][..] } else { &[] },
        &[0],
    ];
    message(1, &frame.concat())
}

fn commit(proposals: &[u8]) -> Vec<u8> {
    public(3, &[&vector(proposals)[..], &[0]].concat())
}

/// Makes a message of about this size.
type Maker = Box<dyn Fn(usize) -> Vec<u8>>;

/// What is in a message many times, as small as it can be, and a message of about this size with
/// it.
fn of_public_messages() -> Vec<(&'static str, Maker)> {
    let leaf_of = |capabilities: &[u8]| leaf(capabilities, &[]);
    let node = [&[0][..], &vector(&[])].concat();
    let secret = [0, 0];
    vec![
        ("self-removals", Box::new(|size| commit(&repeated(&[1, 0, 10], size)))),
        (
            "custom proposals",
            Box::new(|size| commit(&repeated(&[1, 0xf0, 0, 0], size))),
        ),
        (
            "removals",
            Box::new(|size| commit(&repeated(&[1, 0, 3, 0, 0, 0, 9], size))),
        ),
        ("references", Box::new(|size| commit(&repeated(&[2, 0], size)))),
        (
            "pre-shared keys",
            Box::new(|size| commit(&repeated(&[1, 0, 4, 1, 0, 0], size))),
        ),
        (
            "updates",
            Box::new(move |size| commit(&repeated(&[&[1, 0, 2][..], &leaf_of(&[])].concat(), size))),
        ),
        (
            "additions",
            Box::new(move |size| {
                commit(&repeated(
                    &[&[1, 0, 1][..], &key_package(&leaf(&[], &[]))].concat(),
                    size,
                ))
            }),
        ),
        (
            "capabilities",
            Box::new(move |size| public(2, &[&[0, 2][..], &leaf_of(&repeated(&[0xf0, 1], size))].concat())),
        ),
        (
            "extensions",
            Box::new(|size| {
                let each =
                    (0..u16::try_from(size / 3).unwrap_or(u16::MAX)).flat_map(|kind| extension(kind | 0x8000, &[]));
                public(2, &[&[0, 7][..], &vector(&each.collect::<Vec<_>>())].concat())
            }),
        ),
        (
            "one large extension",
            Box::new(|size| public(2, &[&[0, 7][..], &vector(&extension(0xf001, &vec![0; size]))].concat())),
        ),
        (
            "external senders",
            Box::new(|size| {
                let senders = extension(5, &vector(&repeated(&[0, 0, 1, 0], size)));
                public(2, &[&[0, 7][..], &vector(&senders)].concat())
            }),
        ),
        (
            "nodes of a path",
            Box::new(move |size| {
                public(
                    3,
                    &[&[0, 1][..], &leaf(&[], &[]), &vector(&repeated(&node, size))].concat(),
                )
            }),
        ),
        (
            "secrets of a path",
            Box::new(move |size| {
                let node = [&[0][..], &vector(&repeated(&secret, size))].concat();
                public(3, &[&[0, 1][..], &leaf(&[], &[]), &vector(&node)].concat())
            }),
        ),
        (
            "one large custom proposal",
            Box::new(|size| public(2, &[&[0xf0, 0][..], &vector(&vec![0; size])].concat())),
        ),
    ]
}

fn of_group_infos() -> Vec<(&'static str, Maker)> {
    vec![
        ("blank nodes", Box::new(|size| info_of_tree(&repeated(&[0], size)))),
        (
            "parents",
            Box::new(|size| info_of_tree(&repeated(&[1, 2, 0, 0, 0], size))),
        ),
        (
            "leaves",
            Box::new(|size| info_of_tree(&repeated(&[&[1, 1][..], &leaf(&[], &[])].concat(), size))),
        ),
        (
            "unmerged leaves",
            Box::new(|size| info_of_tree(&[&[1, 2, 0, 0][..], &vector(&repeated(&[0; 4], size))].concat())),
        ),
        (
            "capabilities of leaves",
            Box::new(|size| info_of_tree(&[&[1, 1][..], &leaf(&repeated(&[0xf0, 1], size), &[])].concat())),
        ),
        (
            "required capabilities",
            Box::new(|size| {
                info(
                    &extension(3, &[&vector(&repeated(&[0xf0, 1], size))[..], &[0, 0]].concat()),
                    &[],
                )
            }),
        ),
        (
            "one large extension",
            Box::new(|size| info(&extension(0xf001, &vec![0; size]), &[])),
        ),
    ]
}

fn receive(client: &mut Client, bytes: &[u8]) -> Vec<Received> {
    let messages = [bytes.to_vec()];
    let received = client.step(|session| session.receive(&messages, &ReceiveOptions::default()));
    received.expect("receiving is never an error").received
}

#[test]
fn whatever_nobody_has_signed_costs_no_more_than_sixteen_mebibytes() {
    let _alone = MEASURING.lock();
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let _alice = team(&mut [&mut bob, &mut carol]);
    for (what, make) in of_public_messages() {
        for size in [MAX_PUBLIC_MESSAGE / 16, MAX_PUBLIC_MESSAGE - 200, 20 * MIB] {
            costs_little(&mut bob, &format!("{what}, {size} bytes"), &make(size));
        }
    }
    for (what, make) in of_group_infos() {
        for size in [MAX_GROUP_INFO / 16, MAX_GROUP_INFO - 200, 20 * MIB] {
            costs_little(&mut bob, &format!("{what}, {size} bytes"), &message(4, &make(size)));
        }
    }
    let secrets = [&[0, 1][..], &vector(&repeated(&[0, 0, 0], 16 * MIB)), &[0]].concat();
    costs_little(&mut bob, "a Welcome of empty secrets", &message(3, &secrets));
}

fn costs_little(bob: &mut Client, what: &str, bytes: &[u8]) {
    let (cost, _) = cost_of(|| inspect_message(bytes).is_ok());
    assert!(cost <= 64 * 1024, "to inspect {what} takes {cost} bytes");
    // The copy of the bytes is counted with it.
    let (cost, _) = cost_of(|| receive(bob, bytes));
    assert!(
        cost <= bytes.len() + MOST_UNSIGNED,
        "to receive {what} takes {cost} bytes"
    );
    let (cost, joined) = cost_of(|| bob.code_of(|session| session.join_by_welcome(bytes, false)));
    assert!(cost <= MOST_UNSIGNED, "to join by {what} takes {cost} bytes");
    assert!(
        [Code::WelcomeInvalid, Code::WelcomeWithoutKeyPackage].contains(&joined),
        "{joined:?}"
    );
    let credential = bob.credential.clone();
    let (cost, joined) =
        cost_of(|| bob.code_of(|session| session.stage_external_join(b"g", &credential, bytes, false)));
    assert!(
        cost <= MOST_UNSIGNED,
        "to join from outside by {what} takes {cost} bytes"
    );
    let refusals = [Code::GroupInfoInvalid, Code::ExternalJoinRefused];
    assert!(refusals.contains(&joined), "{what}: {joined:?}");
}

/// The largest of these messages that is not refused.
fn largest(make: &dyn Fn(usize) -> Vec<u8>, largest: usize, accepts: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let (mut small, mut large) = (100, largest);
    while large - small > 1000 {
        let middle = usize::midpoint(small, large);
        if accepts(&make(middle)) {
            small = middle
        } else {
            large = middle
        }
    }
    make(small)
}

#[test]
fn what_is_reckoned_that_decoding_takes_is_not_less_than_it_takes() {
    let _alone = MEASURING.lock();
    for (what, make) in of_public_messages() {
        let bytes = largest(&make, MAX_PUBLIC_MESSAGE, |bytes| frame::read(bytes).is_ok());
        let (cost, _) = cost_of(|| MlsMessageIn::tls_deserialize_exact_bytes(&bytes).is_ok());
        assert!(cost <= MAX_DECODED_UNSIGNED, "{what}: {cost} bytes for {}", bytes.len());
    }
    for (what, make) in of_group_infos() {
        let bytes = largest(&make, MAX_GROUP_INFO, |bytes| frame::group_info(bytes).is_ok());
        let bytes = message(4, &bytes);
        let (cost, _) = cost_of(|| MlsMessageIn::tls_deserialize_exact_bytes(&bytes).is_ok());
        assert!(cost <= MAX_DECODED, "{what}: {cost} bytes for {}", bytes.len());
    }
}

#[test]
fn a_message_that_is_larger_than_any_costs_the_same_whatever_its_size() {
    let _alone = MEASURING.lock();
    let mut bob = client("bob");
    let mut bytes = message(2, &[&vector(b"g")[..], &[0; 8], &[1]].concat());
    bytes.resize(MAX_MESSAGE + 1, 0);
    let told = receive(&mut bob, &bytes).remove(0);
    bytes.resize(4 * MAX_MESSAGE, 0);
    let larger = receive(&mut bob, &bytes).remove(0);
    for one in [&told, &larger] {
        assert!(matches!(one.what, What::Rejected(Code::MessageInvalid, _)), "{one:?}");
    }
    assert_eq!(
        told.message_id, larger.message_id,
        "no more is hashed than is looked at"
    );
    assert_eq!(frame::read(&bytes), Err(Flaw::TooLarge));
}

/// A Welcome to this GroupInfo for the client of this key package. It needs no more than that:
/// nobody has signed anything.
fn welcome_to(group_info: &[u8], key_package: &[u8], others: usize) -> Vec<u8> {
    const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
    let crypto = RustCrypto::default();
    let MlsMessageBodyIn::KeyPackage(package) = MlsMessageIn::tls_deserialize_exact_bytes(key_package)
        .expect("it is an MLSMessage")
        .extract()
    else {
        panic!("it is no key package")
    };
    let package: KeyPackageIn = package;
    let package = package.validate(&crypto, ProtocolVersion::Mls10).expect("it is valid");
    let hash = SUITE.hash_algorithm();
    let expand = |secret: &[u8], label: &str, length: usize| {
        let info = [
            &u16::try_from(length).expect("small").to_be_bytes()[..],
            &vector(format!("MLS 1.0 {label}").as_bytes()),
            &[0],
        ];
        crypto
            .hkdf_expand(hash, secret, &info.concat(), length)
            .expect("it can be derived")
    };
    let joiner = [7; 32];
    let member = crypto.hkdf_extract(hash, &joiner, &[0; 32]).expect("it can be derived");
    let welcome = expand(member.as_slice(), "welcome", 32);
    let key = expand(welcome.as_slice(), "key", 16);
    let nonce = expand(welcome.as_slice(), "nonce", 12);
    let encrypted = crypto
        .aead_encrypt(
            SUITE.aead_algorithm(),
            key.as_slice(),
            group_info,
            nonce.as_slice(),
            &[],
        )
        .expect("it can be encrypted");
    let secrets = [&vector(&joiner)[..], &[0, 0]].concat();
    let label = [&vector(b"MLS 1.0 Welcome")[..], &vector(&encrypted)].concat();
    let init_key = package.hpke_init_key();
    let sealed = crypto
        .hpke_seal(SUITE.hpke_config(), init_key.as_slice(), &label, &[], &secrets)
        .expect("it can be encrypted");
    let reference = package.hash_ref(&crypto).expect("it can be hashed");
    let ours = [
        vector(reference.as_slice()),
        vector(sealed.kem_output.as_slice()),
        vector(sealed.ciphertext.as_slice()),
    ]
    .concat();
    let all = [repeated(&[&vector(&[1; 32])[..], &[0, 0]].concat(), 35 * others), ours].concat();
    message(3, &[&[0, 1][..], &vector(&all), &vector(&encrypted)].concat())
}

#[test]
fn a_welcome_of_somebody_hostile_is_refused_before_it_is_decoded() {
    let _alone = MEASURING.lock();
    let mut bob = client("bob");
    let key_package = bob.key_package();
    for (what, make) in of_group_infos() {
        let welcome = welcome_to(&make(MAX_GROUP_INFO - 200), &key_package, 0);
        let (cost, code) = cost_of(|| bob.code_of(|session| session.join_by_welcome(&welcome, false)));
        assert_eq!(code, Code::WelcomeInvalid, "{what}");
        assert!(cost <= MOST_UNSIGNED, "{what}: {cost} bytes");
    }
    let mut alice = client("alice");
    let credential = alice.credential.clone();
    let invitee = conclave_core::conversation::intent::Invitee {
        key_package,
        client_id: None,
    };
    let founding = alice
        .step(|session| session.stage_create(TEAM, &credential, vec![invitee], false))
        .expect("it can be founded");
    alice.merge(&founding);
    bob.join(&founding);
    let text = alice.send("the key package is still good");
    assert_eq!(bob.read(&[&text]), ["the key package is still good"]);
}

#[test]
fn a_welcome_for_very_many_costs_what_a_welcome_for_one_costs() {
    let _alone = MEASURING.lock();
    let mut bob = client("bob");
    let key_package = bob.key_package();
    let small = info(&[], &[]);
    let (few, code) = cost_of(|| {
        let welcome = welcome_to(&small, &key_package, 0);
        bob.code_of(|session| session.join_by_welcome(&welcome, false))
    });
    assert_eq!(code, Code::RatchetTreeMissing);
    let welcome = welcome_to(&small, &key_package, MAX_WELCOME_SECRETS - 1);
    let (many, code) = cost_of(|| bob.code_of(|session| session.join_by_welcome(&welcome, false)));
    assert_eq!(code, Code::RatchetTreeMissing, "bob's secrets are the last of them");
    assert!(many <= 2 * few, "{many} and {few} bytes");
    let welcome = welcome_to(&small, &key_package, MAX_WELCOME_SECRETS);
    let code = bob.code_of(|session| session.join_by_welcome(&welcome, false));
    assert_eq!(code, Code::WelcomeInvalid);
}

#[test]
fn a_group_info_that_its_leaf_has_not_signed_is_refused() {
    let _alone = MEASURING.lock();
    let mut bob = client("bob");
    let (mut alice, _founding) = founded(&mut [&mut bob], true);
    let info = alice.session.group_info(TEAM).expect("it can be made");
    let mut forged = info.clone();
    // The first byte of the confirmation tag: nothing that is looked at before the signature.
    let signature_and_tag = 65 + 1 + 4 + 32;
    let place = forged.len() - signature_and_tag;
    forged[place] ^= 1;
    let credential = bob.credential.clone();
    let error = bob
        .step(|session| session.stage_external_join(TEAM, &credential, &forged, false))
        .expect_err("it must be refused");
    assert_eq!(error.code(), Code::GroupInfoInvalid);
    assert!(error.to_string().contains("has not signed it"), "{error}");
    bob.step(|session| session.stage_external_join(TEAM, &credential, &info, false))
        .expect("the genuine one is good");
}
