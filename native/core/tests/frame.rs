//! The reader of frames and OpenMLS agree on what a message is.

mod support;

use conclave_core::conversation::commit::Request;
use conclave_core::frame::{self, Content, Flaw, Frame, Sender};
use openmls::prelude::{ContentType, LeafNodeParameters, MlsMessageBodyIn, MlsMessageIn, Propose, ProtocolMessage};
use support::foreign::Foreigner;
use support::{TEAM, client, founded, pair};
use tls_codec::DeserializeBytes;

/// Real messages of all kinds, with what they are.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    for suite in [1, 2, 3] {
        let (mut alice, mut bob) = pair(suite);
        all.push(("a text", alice.send("hello")));
        all.push(("an encrypted commit", bob.commit(Request::update()).commit));
        all.push(("a key package", bob.key_package()));
        all.push(("a GroupInfo", bob.session.group_info(TEAM).expect("it can be made")));
    }
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let mut mallory = Foreigner::of("mallory");
    let (mut alice, founding) = founded(&mut [&mut bob, &mut carol], true);
    all.push((
        "a Welcome for two",
        founding.welcome.clone().expect("it adds two").into_vec(),
    ));
    all.push(("a GroupInfo to join by", founding.group_info.clone()));
    let staged = alice.commit(Request::add(vec![mallory.invitee()]));
    mallory.join(&staged);
    all.push(("a commit of references", mallory.commit_of_unseen()));
    all.push((
        "a commit of additions",
        mallory.commit_add(&[Foreigner::of("oscar").invitee()]),
    ));
    all.push((
        "a proposed update",
        mallory.propose(Propose::Update(LeafNodeParameters::default())),
    ));
    all.push(("a proposed removal", mallory.propose_remove("carol")));
    all.push((
        "a proposed addition",
        mallory.propose_add(&Foreigner::of("ned").invitee()),
    ));
    all.push(("a farewell", mallory.propose_to_leave()));
    let info = alice.session.group_info(TEAM).expect("it can be made");
    all.push(("an external commit", Foreigner::of("peggy").join_from_outside(&info)));
    all
}

/// As OpenMLS reads it.
fn by_openmls(bytes: &[u8]) -> Option<MlsMessageBodyIn> {
    Some(MlsMessageIn::tls_deserialize_exact_bytes(bytes).ok()?.extract())
}

#[test]
fn a_message_is_the_same_to_the_reader_and_to_openmls() {
    for (what, bytes) in messages() {
        let frame = frame::read(&bytes).unwrap_or_else(|flaw| panic!("{what}: {flaw:?}"));
        match by_openmls(&bytes).expect("it is a message") {
            MlsMessageBodyIn::PublicMessage(message) => {
                let outside = !matches!(message.sender(), openmls::prelude::Sender::Member(_));
                same(what, frame, &message.into(), false, outside);
            }
            MlsMessageBodyIn::PrivateMessage(message) => same(what, frame, &message.into(), true, false),
            MlsMessageBodyIn::Welcome(welcome) => {
                let Frame::Welcome(read) = frame else {
                    panic!("{what}: {frame:?}")
                };
                assert_eq!(read.cipher_suite, u16::from(welcome.ciphersuite()));
                let references: Vec<_> = read.secrets().map(|secrets| secrets.reference.to_vec()).collect();
                let expected = welcome.secrets().iter().map(|secrets| secrets.new_member());
                assert_eq!(
                    references,
                    expected.map(|one| one.as_slice().to_vec()).collect::<Vec<_>>()
                );
            }
            MlsMessageBodyIn::GroupInfo(info) => {
                let Frame::GroupInfo(read) = frame else {
                    panic!("{what}: {frame:?}")
                };
                assert_eq!(read.conversation_id, info.group_id().as_slice());
                assert_eq!(read.epoch, info.epoch().as_u64());
                assert_eq!(read.cipher_suite, u16::from(info.ciphersuite()));
            }
            MlsMessageBodyIn::KeyPackage(_) => assert!(matches!(frame, Frame::KeyPackage { .. }), "{what}"),
        }
    }
}

fn same(what: &str, frame: Frame<'_>, message: &ProtocolMessage, encrypted: bool, outside: bool) {
    let Frame::Group(read) = frame else {
        panic!("{what}: {frame:?}")
    };
    let content = match read.content {
        Content::Application => ContentType::Application,
        Content::Proposal => ContentType::Proposal,
        Content::Commit => ContentType::Commit,
    };
    assert_eq!(read.conversation_id, message.group_id().as_slice(), "{what}");
    assert_eq!(read.epoch, message.epoch().as_u64(), "{what}");
    assert_eq!(content, message.content_type(), "{what}");
    assert_eq!(read.encrypted, encrypted, "{what}");
    assert_eq!(read.sender == Sender::Outside, outside, "{what}");
}

#[test]
fn a_message_that_was_cut_anywhere_is_none_to_both() {
    for (what, bytes) in messages() {
        for end in 0..bytes.len() {
            assert_eq!(
                frame::read(&bytes[..end]),
                Err(Flaw::Malformed),
                "{what}, {end} bytes of it"
            );
            assert!(by_openmls(&bytes[..end]).is_none(), "{what}, {end} bytes of it");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(frame::read(&longer), Err(Flaw::Malformed), "{what}");
    }
}

#[test]
fn what_the_reader_refuses_openmls_cannot_read_either() {
    for (what, bytes) in messages() {
        for place in 0..bytes.len() {
            for bit in [0x01, 0x08, 0x40, 0x80] {
                let mut changed = bytes.clone();
                changed[place] ^= bit;
                if frame::read(&changed) == Err(Flaw::Malformed) {
                    assert!(by_openmls(&changed).is_none(), "{what}: bit {bit:#x} of byte {place}");
                }
            }
        }
    }
}
