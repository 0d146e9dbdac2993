//! A keystore whose file is whole, and in which one row is not what this client has written.

use std::cell::RefCell;

use conclave_core::conversation::commit::Request;
use conclave_core::keystore::Entity;

use crate::choices::{Choices, change};
use crate::clients::{Client, TEAM, invitee, noted, tell};
use crate::meter::metered;
use crate::outcomes::count;

pub const REACHES: &[&str] = &[
    "conversations ok",
    "members ok",
    "encrypt ok",
    "commit ok",
    "wipe ok",
    "error DATABASE_CORRUPT",
    "message",
];

struct World {
    alice: Client,
    /// By their kind, so that all kinds have their turn: most are message secrets.
    rows: Vec<Vec<Stored>>,
    values: Vec<Vec<u8>>,
    message: Vec<u8>,
    commit: Vec<u8>,
    carol: Vec<u8>,
    runs: u64,
}

/// A row: kind, conversation, key, value.
type Stored = (Entity, Vec<u8>, Vec<u8>, Vec<u8>);

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

pub fn run(bytes: &[u8]) {
    let mut choices = Choices::of(bytes);
    // What is done and taken back uses up generations.
    let mut world = WORLD.take().filter(|world| world.runs < 400).unwrap_or_else(World::new);
    world.runs += 1;
    let World {
        alice,
        rows,
        values,
        message,
        commit,
        carol,
        ..
    } = &mut world;
    alice.and_back(|alice| {
        for _ in 0..=choices.below(2) {
            let of_a_kind = choices.one_of(rows);
            let (entity, mut scope, mut key, mut value) = choices.one_of(of_a_kind).clone();
            let store = alice.session.rows();
            match choices.below(8) {
                0 => store.delete(entity, &scope, &key),
                1 => {
                    change(&mut key, &[], &mut choices);
                    store.put(entity, &scope, &key, value);
                }
                2 => {
                    change(&mut scope, &[], &mut choices);
                    store.put(entity, &scope, &key, value);
                }
                3 => store.put(entity, &scope, &key, choices.one_of(values).clone()),
                _ => {
                    change(&mut value, values, &mut choices);
                    store.put(entity, &scope, &key, value);
                }
            }
            count(format!("{entity:?}"));
        }
        alice.session.forget_groups();
        let (message, commit, carol) = (message.clone(), commit.clone(), carol.clone());
        metered(0, || {
            for _ in 0..3 {
                act(alice, choices.below(12), &message, &commit, &carol);
            }
            // Whatever has happened to a conversation, it can be wiped.
            noted("wipe", alice.step(|session| session.wipe(TEAM)));
            noted("conversations", alice.step(|session| session.conversations()));
        });
    });
    alice.session.forget_groups();
    WORLD.set(Some(world));
}

fn act(alice: &mut Client, what: usize, message: &[u8], commit: &[u8], carol: &[u8]) {
    let credential = alice.credential.clone();
    // As the layer above does: nothing is staged beside a staged commit.
    if let 5 | 6 = what {
        match noted("staged", alice.step(|session| session.staged_commit(TEAM))) {
            Some(Some(staged)) => {
                let cleared = alice.step(|session| session.clear_commit(TEAM, &staged.commit_id));
                if noted("clear", cleared) != Some(true) {
                    return;
                }
            }
            Some(None) => {}
            None => return,
        }
    }
    match what {
        0 => drop(noted("conversations", alice.step(|session| session.conversations()))),
        1 => drop(noted("members", alice.step(|session| session.members(TEAM)))),
        2 => drop(noted(
            "encrypt",
            alice.step(|session| session.encrypt(TEAM, b"hello", b"")),
        )),
        3 | 4 => {
            let bytes = if what == 3 { message } else { commit };
            for received in alice.receive_hostile(bytes) {
                tell(&received.what);
            }
        }
        5 => {
            let add = Request::add(vec![invitee(carol.to_vec())]);
            let staged = noted("commit", alice.step(|session| session.stage_commit(TEAM, add)));
            if let Some(staged) = staged.flatten() {
                noted(
                    "merge",
                    alice.step(|session| session.merge_commit(TEAM, &staged.commit_id, false)),
                );
            }
        }
        6 => drop(noted(
            "update",
            alice.step(|session| session.stage_commit(TEAM, Request::update())),
        )),
        7 => drop(noted(
            "state",
            alice.step(|session| session.conversation_state(TEAM).map(drop)),
        )),
        8 => drop(noted(
            "key packages",
            alice.step(|session| session.key_packages_with_bytes()),
        )),
        9 => drop(noted("credentials", alice.step(|session| session.credentials()))),
        10 => drop(noted("unsettled", alice.step(|session| session.unsettled_commits()))),
        _ => drop(noted(
            "key package",
            alice.step(|session| session.generate_key_packages(&credential, 1, None, true)),
        )),
    }
}

impl World {
    fn new() -> World {
        let mut alice = Client::of("alice");
        let mut bob = Client::of("bob");
        let founding = bob.found(vec![alice.invitee()]);
        alice.join(&founding.welcome.expect("it adds alice"));
        for _ in 0..2 {
            let update = bob.commit(Request::update());
            alice.receive(&update.commit);
            let text = bob.send(b"hello");
            alice.receive(&text);
            alice.send(b"hello");
        }
        // One commit of hers is staged, one message waits for another, and one key package is of last resort.
        let credential = alice.credential.clone();
        let made = alice.step(|session| session.generate_key_packages(&credential, 1, None, true));
        made.expect("a key package can be made");
        alice
            .step(|session| session.set_data("cursor", Some(b"7")))
            .expect("it can be stored");
        let message = bob.send(b"hello again");
        let commit = bob.commit(Request::update()).commit;
        let early = bob.send(b"early");
        alice.receive(&early);
        alice.stage(Request::update());
        let mut rows = Vec::new();
        for &entity in Entity::ALL {
            let stored = alice.session.rows().list_all(entity).expect("memory can be read");
            let stored = stored
                .into_iter()
                .map(|(scope, key, value)| (entity, scope, key, value.to_vec()));
            rows.push(stored.collect::<Vec<Stored>>());
        }
        rows.retain(|of_a_kind| !of_a_kind.is_empty());
        World {
            values: rows.iter().flatten().map(|row| row.3.clone()).collect(),
            rows,
            message,
            commit,
            carol: Client::of("carol").key_package(),
            alice,
            runs: 0,
        }
    }
}
