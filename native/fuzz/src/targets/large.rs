//! Large hostile input, made to cost as much as it can: many small parts, each of which becomes something bigger in memory.

use std::cell::RefCell;

use conclave_core::inspect::inspect_message;

use crate::choices::Choices;
use crate::clients::{Client, TEAM, note, noted, tell};
use crate::meter::metered;
use crate::outcomes::count;
use crate::wire::{extension, message, vector};

pub const REACHES: &[&str] = &["inspected or refused"];

const PUBLIC_MESSAGE: u16 = 1;
const PRIVATE_MESSAGE: u16 = 2;
const WELCOME: u16 = 3;
const GROUP_INFO: u16 = 4;
const KEY_PACKAGE: u16 = 5;

const KINDS: usize = 25;
/// Below what is refused by its size alone.
const LARGEST: usize = 60 << 20;

thread_local! {
    static ALICE: RefCell<Option<Client>> = const { RefCell::new(None) };
}

pub fn run(bytes: &[u8]) {
    let mut choices = Choices::of(bytes);
    let kind = choices.below(KINDS);
    // From 1 KiB to 2 MiB: what takes 25 times its size is found with the largest. Now and then as much as a message may have.
    let size = match choices.below(17) {
        step @ 0..=11 => 1 << (10 + step),
        step if choices.below(8) == 7 => (1 << (10 + step)).min(LARGEST),
        _ => 1 << 21,
    };
    count(format!("kind {kind}"));
    let message = made(kind, size, &mut choices);
    let mut alice = ALICE.take().unwrap_or_else(|| {
        let mut alice = Client::of("alice");
        alice.found(vec![Client::of("bob").invitee()]);
        alice
    });
    match metered(message.len(), || inspect_message(&message)) {
        Ok(_) => count("inspected"),
        Err(error) => note(&error),
    }
    count("inspected or refused");
    alice.and_back(|alice| {
        alice
            .receive_hostile(&message)
            .iter()
            .for_each(|received| tell(&received.what));
        noted("join", alice.try_to_join(&message));
        noted("external join", alice.try_to_join_from_outside(&message));
        noted("add", alice.try_to_add(&message));
    });
    ALICE.set(Some(alice));
}

fn made(kind: usize, size: usize, choices: &mut Choices<'_>) -> Vec<u8> {
    let of_team = choices.flag();
    let id = if of_team { TEAM } else { b"unknown" };
    match kind {
        0 => message(
            WELCOME,
            &[&[0, 1][..], &vector(&[0; 3].repeat(size / 3)), &vector(b"")].concat(),
        ),
        1 => {
            let secret = [vector(&[7; 32]), vector(&[7; 32]), vector(&[7; 48])].concat();
            let secrets = secret.repeat(size / secret.len());
            message(WELCOME, &[&[0, 1][..], &vector(&secrets), &vector(&[7; 100])].concat())
        }
        2 => group_info(id, &[], &extension(0x0002, &vector(&vec![0; size]))),
        3 => group_info(id, &[], &extension(0xF000, b"").repeat(size / 3)),
        4 => group_info(id, &extension(0xF000, b"").repeat(size / 3), &[]),
        5 => commit(id, &vector(&[2, 0].repeat(size / 2)), &[0]),
        6 => commit(id, &vector(&[1, 0, 3, 0, 0, 0, 9].repeat(size / 7)), &[0]),
        7 => {
            let leaf = leaf(&[]);
            let path = [&[1][..], &leaf, &vector(&[0; 2].repeat(size / 2))].concat();
            commit(id, &vector(b""), &path)
        }
        8 => proposal(
            id,
            &[&[0, 7][..], &vector(&extension(0xF000, b"").repeat(size / 3))].concat(),
        ),
        9 => message(KEY_PACKAGE, &key_package(&leaf(&greased(size.min(60_000))), b"")),
        10 => commit(&vec![b'x'; size], &vector(b""), &[0]),
        11 => private(id, b"", size),
        12 => private(id, &vec![7; size], 48),
        13 => commit(
            id,
            &vector(b""),
            &[&[1][..], &leaf(&greased(size)), &vector(b"")].concat(),
        ),
        14 => proposal(id, &[&[0, 1][..], &key_package(&leaf(&greased(size)), b"")].concat()),
        15 => {
            let parent = [
                &[1, 2][..],
                &vector(&[7; 32]),
                &vector(b""),
                &vector(&[0, 0, 0, 9].repeat(size / 4)),
            ]
            .concat();
            group_info(id, &[], &extension(0x0002, &vector(&parent)))
        }
        16 => {
            let leaf = [&[1, 1][..], &leaf(&greased(size))].concat();
            group_info(id, &[], &extension(0x0002, &vector(&leaf)))
        }
        17 => {
            let required = [vector(&greased(size)), vector(b""), vector(b"")].concat();
            group_info(id, &extension(0x0003, &required), &[])
        }
        18 => {
            let sender = [&vector(b"")[..], &[0, 1], &vector(b"")].concat();
            group_info(
                id,
                &extension(0x0005, &vector(&sender.repeat(size / sender.len()))),
                &[],
            )
        }
        19 => commit(id, &vector(&[1, 0xf0, 0, 0].repeat(size / 4)), &[0]),
        20 => commit(id, &vector(&[1, 0, 4, 1, 0, 0].repeat(size / 6)), &[0]),
        21 => {
            let node = [vector(&[7; 32]), vector(&[0; 2].repeat(size / 2))].concat();
            commit(id, &vector(b""), &[&[1][..], &leaf(&[]), &vector(&node)].concat())
        }
        22 => {
            let size = size.min(60_000);
            message(
                KEY_PACKAGE,
                &key_package(&leaf(&[]), &extension(0xF000, b"").repeat(size / 3)),
            )
        }
        23 => {
            let add = [&[1, 0, 1][..], &key_package(&leaf(&[]), b"")].concat();
            commit(id, &vector(&add.repeat(size / add.len())), &[0])
        }
        _ => {
            let leaf = [&[1, 1][..], &leaf(&[])].concat();
            group_info(id, &[], &extension(0x0002, &vector(&leaf.repeat(size / leaf.len()))))
        }
    }
}

/// Capabilities that nobody knows: two bytes each, and more once they are read.
fn greased(size: usize) -> Vec<u8> {
    [0x0a, 0x0a].repeat(size / 2)
}

fn key_package(leaf: &[u8], extensions: &[u8]) -> Vec<u8> {
    [
        &[0, 1, 0, 1][..],
        &vector(&[7; 32]),
        leaf,
        &vector(extensions),
        &vector(&[7; 64]),
    ]
    .concat()
}

fn private(id: &[u8], aad: &[u8], size: usize) -> Vec<u8> {
    let body = [
        &vector(id)[..],
        &1u64.to_be_bytes(),
        &[1],
        &vector(aad),
        &vector(&[7; 28]),
        &vector(&vec![7; size]),
    ];
    message(PRIVATE_MESSAGE, &body.concat())
}

fn group_info(id: &[u8], context: &[u8], extensions: &[u8]) -> Vec<u8> {
    let body = [
        &[0, 1, 0, 1][..],
        &vector(id),
        &7u64.to_be_bytes(),
        &vector(&[7; 32]),
        &vector(&[7; 32]),
        &vector(&[extension(0xF1C0, &[1]), context.to_vec()].concat()),
        &vector(extensions),
        &vector(&[7; 32]),
        &[0; 4],
        &vector(&[7; 64]),
    ];
    message(GROUP_INFO, &body.concat())
}

/// A leaf node of a commit, with these capabilities to carry proposals.
fn leaf(proposals: &[u8]) -> Vec<u8> {
    let credential = [&[0, 1][..], &vector(b"mallory")].concat();
    [
        &vector(&[7; 32])[..],
        &vector(&[7; 32]),
        &credential,
        &vector(&[0, 1]),
        &vector(&[0, 1]),
        &vector(b""),
        &vector(proposals),
        &vector(&[0, 1]),
        &[3],
        &vector(&[7; 32]),
        &vector(b""),
        &vector(&[7; 64]),
    ]
    .concat()
}

fn commit(id: &[u8], proposals: &[u8], path: &[u8]) -> Vec<u8> {
    let content = [&[3], proposals, path].concat();
    public(id, &content, &[&vector(&[7; 64])[..], &vector(&[7; 32])].concat())
}

fn proposal(id: &[u8], proposal: &[u8]) -> Vec<u8> {
    public(id, &[&[2], proposal].concat(), &vector(&[7; 64]))
}

/// A public message of the member at leaf 1, in epoch 1.
fn public(id: &[u8], content: &[u8], authentication: &[u8]) -> Vec<u8> {
    let sender = [1, 0, 0, 0, 1];
    let body = [
        &vector(id)[..],
        &1u64.to_be_bytes(),
        &sender,
        &vector(b""),
        content,
        authentication,
        &vector(&[7; 32]),
    ];
    message(PUBLIC_MESSAGE, &body.concat())
}
