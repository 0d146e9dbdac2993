//! What somebody comes in by: changed key packages, Welcomes, GroupInfos and the ratchet trees in them.

use std::cell::RefCell;

use conclave_core::conversation::commit::Request;

use crate::choices::{Choices, change};
use crate::clients::{Client, TEAM, noted};
use crate::hostile::Mallory;
use crate::outcomes::count;

pub const REACHES: &[&str] = &[
    "add ok",
    "join ok",
    "external join ok",
    "error KEY_PACKAGE_INVALID",
    "error WELCOME_INVALID",
    "error GROUP_INFO_INVALID",
];

struct World {
    /// Founded the team, and may add others.
    alice: Client,
    /// Is invited.
    bob: Client,
    /// Stands outside.
    carol: Client,
    packages: Vec<Vec<u8>>,
    welcomes: Vec<Vec<u8>>,
    infos: Vec<Vec<u8>>,
    all: Vec<Vec<u8>>,
    runs: u64,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

pub fn run(bytes: &[u8]) {
    let mut choices = Choices::of(bytes);
    // Each commit that is made and taken back uses up generations.
    let mut world = WORLD.take().filter(|world| world.runs < 400).unwrap_or_else(World::new);
    world.runs += 1;
    let kind = choices.below(3);
    let genuine = match kind {
        0 => &world.packages,
        1 => &world.welcomes,
        _ => &world.infos,
    };
    let which = choices.below(genuine.len());
    count(format!("{} {which}", ["key package", "Welcome", "GroupInfo"][kind]));
    let mut message = genuine[which].clone();
    if !choices.is_empty() {
        change(&mut message, &world.all, &mut choices);
    }
    let is_genuine = world.all.contains(&message);
    match kind {
        0 => world.alice.and_back(|alice| {
            let added = noted("add", alice.try_to_add(&message)).is_some();
            assert!(is_genuine || !added, "a changed key package is accepted");
        }),
        1 => world.bob.and_back(|bob| {
            if noted("join", bob.try_to_join(&message)).is_some() {
                noted("members", bob.session.step(|session| session.members(TEAM)));
                noted(
                    "encrypt",
                    bob.session.step(|session| session.encrypt(TEAM, b"hello", b"")),
                );
            }
        }),
        _ => world.carol.and_back(|carol| {
            if let Some(staged) = noted("external join", carol.try_to_join_from_outside(&message)) {
                assert!(is_genuine, "a changed GroupInfo is accepted");
                let judged = carol.session.judge_join(TEAM, &staged.commit_id, &message);
                count(format!("{judged:?}"));
            }
        }),
    }
    WORLD.set(Some(world));
}

impl World {
    fn new() -> World {
        let (mut alice, mut bob, carol) = (Client::of("alice"), Client::of("bob"), Client::of("carol"));
        let mut others: Vec<Client> = (0..6).map(|n| Client::of(&format!("member {n}"))).collect();
        let small = alice.found(vec![bob.invitee()]);
        let info = alice.step(|session| session.group_info(TEAM)).expect("she is a member");
        let mut infos = vec![small.group_info.clone(), info];
        let welcomes = vec![small.welcome.expect("it adds bob").to_vec()];
        let large = alice.commit(Request::add(others.iter_mut().map(Client::invitee).collect()));
        infos.push(large.group_info);
        let mut packages: Vec<Vec<u8>> = (0..2).map(|n| Client::of(&format!("new {n}")).key_package()).collect();
        packages.push(Mallory::of("mallory").key_package());
        let all = [packages.clone(), welcomes.clone(), infos.clone()].concat();
        World {
            alice,
            bob,
            carol,
            packages,
            welcomes,
            infos,
            all,
            runs: 0,
        }
    }
}
