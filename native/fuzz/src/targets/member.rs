//! A member that signs again what it has changed, in a group of 2 others and of 50.

use std::cell::RefCell;

use conclave_core::conversation::commit::Request;
use conclave_core::conversation::received::{Received, What};
use openmls::hook::{Point, proposal, with};
use openmls::prelude::Proposal;

use crate::choices::{Choices, change};
use crate::clients::{Client, TEAM, invitee, noted, tell};
use crate::hostile::Mallory;
use crate::outcomes::count;
use crate::panics::hostile;
use crate::wire::{extension, vector};

pub const REACHES: &[&str] = &[
    "message",
    "proposal",
    "commit, active: true",
    "commit, active: false",
    "alike",
    "join ok",
    "external join ok",
    "act ok",
];

struct World {
    alice: Client,
    bob: Client,
    mallory: Mallory,
    /// Invited by mallory, and outside.
    carol: Client,
    packages: Vec<Vec<u8>>,
    info: Vec<u8>,
    runs: u64,
}

thread_local! {
    static WORLDS: RefCell<[Option<World>; 2]> = const { RefCell::new([None, None]) };
}

/// What mallory sends at once.
#[derive(Default)]
struct Sent {
    messages: Vec<Vec<u8>>,
    welcome: Option<Vec<u8>>,
    info: Option<Vec<u8>>,
}

pub fn run(bytes: &[u8]) {
    let mut choices = Choices::of(bytes);
    let size = choices.below(16) / 15;
    let mut worlds = WORLDS.take();
    // What is done and taken back uses up generations.
    let world = match &mut worlds[size] {
        Some(world) if world.runs < 400 => world,
        place => place.insert(World::of([3, 50][size])),
    };
    world.runs += 1;
    let length = 4 + choices.below(48);
    let plan = choices.take(length).to_vec();
    let script = choices.rest().to_vec();
    let sent = hostile(|| with(hook(script), || world.send(&mut Choices::of(&plan))));
    match sent {
        Some(sent) => world.receive(sent),
        None => count("mallory could not make it"),
    }
    WORLDS.set(worlds);
}

/// Changes what mallory signs and encrypts as the script says.
fn hook(script: Vec<u8>) -> impl FnMut(Point, &mut Vec<u8>) + 'static {
    let mut read = 0;
    move |_, bytes| {
        let mut choices = Choices::of(&script[read..]);
        if choices.byte() % 3 == 1 {
            change(bytes, &[], &mut choices);
        }
        read = script.len() - choices.rest().len();
    }
}

impl World {
    fn of(size: usize) -> World {
        let (mut alice, mut bob, carol) = (Client::of("alice"), Client::of("bob"), Client::of("carol"));
        let mut mallory = Mallory::of("mallory");
        let mut members: Vec<Client> = (3..size).map(|n| Client::of(&format!("member {n}"))).collect();
        let mut invitees = vec![bob.invitee(), invitee(mallory.key_package())];
        invitees.extend(members.iter_mut().map(Client::invitee));
        let founding = alice.found(invitees);
        let welcome = founding.welcome.expect("it adds them");
        bob.join(&welcome);
        mallory.join(&welcome);
        let update = alice.commit(Request::update());
        bob.receive(&update.commit);
        mallory.receive(&update.commit);
        let mut carol = carol;
        let packages = vec![
            carol.key_package(),
            Client::of("dave").key_package(),
            // Names and keys that are there already.
            alice.key_package(),
            Mallory::of("alice").key_package(),
            mallory.key_package(),
            mallory.renamed("bob").key_package(),
        ];
        World {
            alice,
            bob,
            carol,
            packages,
            info: update.group_info,
            mallory,
            runs: 0,
        }
    }

    fn send(&mut self, choices: &mut Choices<'_>) -> Sent {
        let is_public = choices.flag();
        let mut group = self.mallory.group(is_public);
        let mut sent = Sent::default();
        match choices.below(10) {
            0 => sent.messages.push(self.mallory.send(&mut group, b"hello")),
            1 => {
                let proposals = self.proposals(choices);
                for proposal in proposals {
                    sent.messages.push(self.propose(&mut group, proposal));
                }
            }
            2 => {
                sent.messages.push(match choices.below(3) {
                    0 => self.mallory.propose_update(&mut group),
                    1 => self.mallory.propose_removal(&mut group, choices.below(4) as u32),
                    _ => self.mallory.propose_to_leave(&mut group),
                });
                self.commit(&mut group, Vec::new(), choices.flag(), &mut sent);
            }
            3 => {
                let mut newcomer = match choices.below(3) {
                    0 => Mallory::of("oscar"),
                    1 => self.mallory.renamed("mallory"),
                    _ => self.mallory.renamed("alice"),
                };
                sent.messages.push(newcomer.join_from_outside(&self.info));
            }
            4 => {
                let add = [&[0, 1][..], &self.packages[0][4..]].concat();
                let add = proposal(&add).into_iter().collect();
                self.commit(&mut group, add, choices.flag(), &mut sent);
            }
            5 => sent.info = Some(self.mallory.group_info(&group)),
            _ => {
                let proposals = self.proposals(choices);
                let proposals = proposals.iter().filter_map(|bytes| proposal(bytes)).collect();
                self.commit(&mut group, proposals, choices.flag(), &mut sent);
            }
        }
        if choices.below(4) == 3
            && let Some(last) = sent.messages.last().cloned()
        {
            sent.messages.insert(0, last);
        }
        sent
    }

    fn commit(
        &self,
        group: &mut openmls::prelude::MlsGroup,
        proposals: Vec<Proposal>,
        with_path: bool,
        sent: &mut Sent,
    ) {
        let (commit, welcome, info) = self.mallory.commit(group, proposals, with_path);
        sent.messages.push(commit);
        (sent.welcome, sent.info) = (welcome, info);
    }

    /// A proposal by reference, in the place of one that OpenMLS knows how to make.
    fn propose(&self, group: &mut openmls::prelude::MlsGroup, proposal: Vec<u8>) -> Vec<u8> {
        let removal = [0, 3, 0, 0, 0, 0];
        let replace = move |point, bytes: &mut Vec<u8>| {
            if point == Point::Content && bytes.ends_with(&removal) {
                bytes.truncate(bytes.len() - removal.len());
                bytes.extend_from_slice(&proposal);
            }
        };
        with(replace, || self.mallory.propose_removal(group, 0))
    }

    /// Some proposals as bytes (RFC 9420 section 12.1), each of a kind.
    fn proposals(&self, choices: &mut Choices<'_>) -> Vec<Vec<u8>> {
        let count = choices.below(4);
        (0..=count).map(|_| self.proposal(choices)).collect()
    }

    fn proposal(&self, choices: &mut Choices<'_>) -> Vec<u8> {
        let body = |kind: u16, body: &[u8]| [&kind.to_be_bytes()[..], body].concat();
        match choices.below(9) {
            0 | 1 => body(1, &choices.one_of(&self.packages)[4..]),
            2 => {
                let leaf = *choices.one_of(&[0, 1, 2, 3, 4, 7, 49, 50, 63, 64, u32::MAX / 2, u32::MAX]);
                body(3, &leaf.to_be_bytes())
            }
            3 => {
                let id = match choices.flag() {
                    true => [&[1][..], &vector(b"an id")].concat(),
                    false => {
                        let usage = choices.byte();
                        let epoch = u64::from(choices.byte());
                        [&[2, usage][..], &vector(TEAM), &epoch.to_be_bytes()].concat()
                    }
                };
                body(4, &[&id[..], &vector(&[7; 32])].concat())
            }
            4 => body(5, &[&vector(b"another")[..], &[0, 1, 0, 1], &vector(b"")].concat()),
            5 => body(6, &vector(&[7; 32])),
            6 => {
                let extensions: Vec<u8> = (0..choices.below(4)).flat_map(|_| context_extension(choices)).collect();
                body(7, &vector(&extensions))
            }
            7 => body(10, &[]),
            _ => body(choices.short(), &vector(&[7; 5])),
        }
    }

    fn receive(&mut self, sent: Sent) {
        let World { alice, bob, carol, .. } = self;
        alice.session.begin().expect("none is open");
        bob.session.begin().expect("none is open");
        let mut accepted = Vec::new();
        for client in [&mut *alice, &mut *bob] {
            let received: Vec<Received> = sent
                .messages
                .iter()
                .flat_map(|message| client.receive_hostile(message))
                .collect();
            received.iter().for_each(|received| tell(&received.what));
            let commit = received.iter().find_map(|received| match received.what {
                What::Commit { active, .. } => Some(active),
                _ => None,
            });
            accepted.push(commit);
        }
        if accepted == [Some(true), Some(true)] {
            let of = |client: &mut Client| client.session.step(|session| session.epoch_authenticator(TEAM));
            let (one, other) = (of(alice).expect("it is a member"), of(bob).expect("it is a member"));
            assert!(one == other, "two members accept a commit and are in different epochs");
            count("alike");
        }
        for (client, accepted) in [&mut *alice, &mut *bob].into_iter().zip(accepted) {
            if accepted == Some(true) {
                can_act(client);
            }
            client.session.rollback().expect("memory takes it");
        }
        carol.and_back(|carol| {
            if let Some(welcome) = &sent.welcome
                && noted("join", carol.try_to_join(welcome)).is_some()
            {
                let sent = carol.session.step(|session| session.encrypt(TEAM, b"hello", b""));
                noted("encrypt", sent);
            }
            if let Some(info) = &sent.info {
                noted("external join", carol.try_to_join_from_outside(info));
            }
        });
    }
}

/// What was accepted must leave a member able to act: else it is stuck.
fn can_act(client: &mut Client) {
    noted(
        "encrypt",
        client.session.step(|session| session.encrypt(TEAM, b"hello", b"")),
    );
    let staged = client
        .session
        .step(|session| session.stage_commit(TEAM, Request::update()));
    noted("act", staged);
}

/// An extension of a group context.
fn context_extension(choices: &mut Choices<'_>) -> Vec<u8> {
    match choices.below(5) {
        0 => {
            let kinds = choices.one_of(&[0xF1C0u16, 0xF000, 0x000a, 0x0003]).to_be_bytes();
            let data = [vector(&kinds), vector(&[]), vector(&[0, 1])].concat();
            extension(3, &data)
        }
        1 => {
            let sender = [&vector(&[7; 32])[..], &[0, 1], &vector(b"server")].concat();
            extension(5, &vector(&sender))
        }
        2 => extension(0xF1C0, &[choices.byte() % 3]),
        3 => extension(choices.short(), &[7; 3]),
        _ => extension(2, &[0; 3]),
    }
}
