//! Somebody on the way, or the server: changed messages to a member of a group of 2 and of 50.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use conclave_core::conversation::commit::Request;
use conclave_core::conversation::received::What;

use crate::choices::{Choices, change};
use crate::clients::{Client, TEAM, invitee, tell};
use crate::hostile::Mallory;
use crate::outcomes::count;

pub const REACHES: &[&str] = &[
    "message",
    "proposal",
    "commit, active: true",
    "genuine after it",
    "waits for Welcome",
    "waits for Commit",
    "ignored StaleHandshake",
];

/// A member, and genuine messages to it.
struct Team {
    alice: Client,
    genuine: Vec<Vec<u8>>,
    runs: u64,
}

thread_local! {
    static TEAMS: RefCell<[Option<Team>; 2]> = const { RefCell::new([None, None]) };
    static SAMPLES: OnceCell<Rc<Vec<Vec<u8>>>> = const { OnceCell::new() };
}

/// Messages of every kind.
pub fn samples() -> Rc<Vec<Vec<u8>>> {
    SAMPLES.with(|samples| {
        let made = || {
            let (mut team, welcome) = Team::of(2);
            let info = team.alice.step(|session| session.group_info(TEAM));
            let mut samples = team.genuine;
            samples.extend([welcome, info.expect("it is a member"), team.alice.key_package()]);
            Rc::new(samples)
        };
        samples.get_or_init(made).clone()
    })
}

pub fn run(bytes: &[u8]) {
    let mut choices = Choices::of(bytes);
    let size = choices.below(8) / 7;
    let mut teams = TEAMS.take();
    let team = teams[size].get_or_insert_with(|| Team::of([2, 50][size]).0);
    let which = choices.below(team.genuine.len());
    let mut message = team.genuine[which].clone();
    if !choices.is_empty() {
        change(&mut message, &team.genuine, &mut choices);
    }
    count(format!(
        "message {which} of the team of {}",
        if size == 0 { "2" } else { "50" }
    ));
    let is_genuine = team.genuine.contains(&message);
    team.alice.and_back(|alice| {
        for received in alice.receive_hostile(&message) {
            let is_accepted = matches!(
                received.what,
                What::Message { .. } | What::Commit { .. } | What::Proposal { .. }
            );
            assert!(
                is_genuine || !is_accepted,
                "a changed message is accepted: {:?}",
                received.what
            );
            tell(&received.what);
        }
    });
    team.runs += 1;
    // It left no trace: the one that it was made of is good after it. Not each time, since this costs more than the run.
    if team.runs % 16 == 1 && !is_genuine {
        let genuine = team.genuine[which].clone();
        team.alice.and_back(|alice| {
            alice.receive_hostile(&message);
            let received = alice.receive_hostile(&genuine);
            let is_rejected = received
                .iter()
                .any(|received| matches!(received.what, What::Rejected(..)));
            let alone = Team::is_rejected_alone(alice, &genuine);
            assert!(
                !is_rejected || alone,
                "after a changed message the genuine one is rejected: {received:?}"
            );
            count("genuine after it");
        });
    }
    TEAMS.set(teams);
}

impl Team {
    /// A team of this size, and the Welcome to it.
    fn of(size: usize) -> (Team, Vec<u8>) {
        let mut alice = Client::of("alice");
        let mut bob = Client::of("bob");
        let mut mallory = Mallory::of("mallory");
        let mut members: Vec<Client> = (3..size).map(|n| Client::of(&format!("member {n}"))).collect();
        let mut invitees = vec![alice.invitee()];
        if size > 2 {
            invitees.push(invitee(mallory.key_package()));
            invitees.extend(members.iter_mut().map(Client::invitee));
        }
        let founding = bob.found(invitees);
        let welcome = founding.welcome.expect("it adds alice").to_vec();
        alice.join(&welcome);

        // Of the epoch before: read late, known, or stale.
        let mut genuine = vec![bob.send(b"early"), alice.send(b"her own"), founding.commit.clone()];
        let update = bob.commit(Request::update());
        let early = bob.send(b"of the next epoch");
        alice.receive(&update.commit);
        genuine.extend([update.commit, early]);
        if size > 2 {
            mallory.join(&welcome);
            mallory.receive(&genuine[3]);
            let mut group = mallory.group(true);
            genuine.push(mallory.propose_update(&mut group));
            genuine.push(mallory.propose_removal(&mut group, 0));
            genuine.push(mallory.propose_to_leave(&mut mallory.group(true)));
            let mut group = mallory.group(true);
            genuine.push(mallory.commit(&mut group, Vec::new(), true).0);
            let mut group = mallory.group(false);
            genuine.push(mallory.propose_update(&mut group));
            genuine.push(mallory.commit(&mut mallory.group(false), Vec::new(), true).0);
            genuine.push(mallory.send(&mut mallory.group(false), b"from mallory"));
        }
        // Somebody joins from outside, in a public message.
        let info = bob.step(|session| session.group_info(TEAM)).expect("it is a member");
        genuine.push(Mallory::of("oscar").join_from_outside(&info));
        let carol = Client::of("carol").key_package();
        genuine.push(bob.send(b"now"));
        genuine.push(bob.stage(Request::add(vec![invitee(carol)])).commit);
        let staged = bob.step(|session| session.staged_commit(TEAM));
        bob.merge(&staged.expect("memory can be read").expect("it was staged"));
        genuine.push(bob.send(b"to come"));
        genuine.push(bob.commit(Request::update()).commit);
        // And of a conversation that alice is not in.
        let mut dave = Client::of("dave");
        let credential = dave.credential.clone();
        let created = dave.step(|session| session.create_conversation(b"another", &credential, false));
        created.expect("it can be created");
        let message = dave.step(|session| session.encrypt(b"another", b"not hers", b""));
        genuine.push(message.expect("it can be sent"));
        (
            Team {
                alice,
                genuine,
                runs: 0,
            },
            welcome,
        )
    }

    /// Whether the message is refused also where nothing came before it.
    fn is_rejected_alone(alice: &mut Client, genuine: &[u8]) -> bool {
        alice.session.rollback().expect("one is open");
        alice.session.begin().expect("none is open");
        let received = alice.receive_hostile(genuine);
        received
            .iter()
            .any(|received| matches!(received.what, What::Rejected(..)))
    }
}
