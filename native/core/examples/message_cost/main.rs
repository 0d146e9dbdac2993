//! What a message costs its sender and a receiver, against the size of the group, beside OpenMLS alone with its storage in
//! memory: `cargo run --release --example message_cost [messages]`.
//!
//! Median microseconds for a message of 1 KiB, on a keystore file: as a step of its own, of 100 that share an fsync, and of 100
//! in one transaction. One member in twenty takes part; each has sent so many messages (1) in the present epoch and in every
//! past one that is kept. The factor is that of 100 to OpenMLS alone.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that measures and prints"
)]

mod bare;

use std::time::Instant;

use bare::BareTeam;
use conclave_core::conversation::commit::Request;
use conclave_core::conversation::intent::Invitee;
use conclave_core::conversation::receive::ReceiveOptions;
use conclave_core::conversation::received::What;
use conclave_core::credential::Credential;
use conclave_core::error::Result;
use conclave_core::keystore::{DatabaseKey, Keystore};
use conclave_core::limits::PAST_EPOCHS;
use conclave_core::session::Session;

const TEAM: &[u8] = b"team";
const PLAINTEXT: [u8; 1024] = [7; 1024];
const ROUNDS: usize = 15;
const MANY: usize = 100;

fn main() {
    let backlog = std::env::args().nth(1).map_or(1, |count| count.parse().unwrap());
    println!(
        "             encrypt: alone   of 100   in tx   OpenMLS  factor    receive: alone   of 100   in tx   OpenMLS  factor"
    );
    for members in [2, 100, 1000] {
        let mut team = Team::of(members, backlog);
        let mut bare = BareTeam::of(members, backlog);
        let mut costs: [Vec<f64>; 8] = Default::default();
        for _ in 0..ROUNDS {
            for _ in 0..4 {
                costs[0].push(team.encrypt(1, false));
                costs[4].push(team.receive(1, false));
            }
            costs[1].push(team.encrypt(MANY, false));
            costs[2].push(team.encrypt(MANY, true));
            costs[3].push(bare.encrypt(MANY));
            costs[5].push(team.receive(MANY, false));
            costs[6].push(team.receive(MANY, true));
            costs[7].push(bare.receive(MANY));
        }
        let [e1, e100, etx, eb, r1, r100, rtx, rb] = costs.map(median);
        println!(
            "N = {members:5} {e1:14.1} {e100:8.1} {etx:7.1} {eb:9.1} {:7.2} {r1:17.1} {r100:8.1} {rtx:7.1} {rb:9.1} {:7.2}",
            e100 / eb,
            r100 / rb
        );
    }
}

fn median(mut costs: Vec<f64>) -> f64 {
    costs.sort_by(f64::total_cmp);
    costs[costs.len() / 2]
}

/// The microseconds that each of so many took.
fn micros(count: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e6 / count as f64
}

/// A group whose first member is measured.
struct Team {
    alice: Session,
    active: Vec<Session>,
    next: usize,
    _folder: tempfile::TempDir,
}

impl Team {
    fn of(members: usize, backlog: usize) -> Team {
        let folder = tempfile::tempdir().unwrap();
        let key = DatabaseKey::try_from([7; 32].as_slice()).unwrap();
        let (mut alice, credential) = client("alice", Keystore::open(folder.path().join("alice.db"), &key).unwrap());
        let mut active = Vec::new();
        let mut invitees = Vec::new();
        for n in 1..members {
            let (mut member, credential) = client(&format!("member {n}"), Keystore::in_memory().unwrap());
            let packages = step(&mut member, |session| {
                session.generate_key_packages(&credential, 1, None, false)
            });
            invitees.push(Invitee {
                key_package: packages.into_iter().next().unwrap().bytes,
                client_id: None,
            });
            if n % 20 == 1 {
                active.push(member);
            }
        }
        let founding = step(&mut alice, |session| {
            session.stage_create(TEAM, &credential, invitees, false)
        });
        step(&mut alice, |session| {
            session.merge_commit(TEAM, &founding.commit_id, false)
        });
        let welcome = founding.welcome.unwrap();
        for member in &mut active {
            step(member, |session| session.join_by_welcome(&welcome));
        }
        let mut team = Team {
            alice,
            active,
            next: 0,
            _folder: folder,
        };
        for _ in 0..PAST_EPOCHS {
            team.everybody_sends(backlog);
            let update = step(&mut team.alice, |session| session.stage_commit(TEAM, Request::Update)).unwrap();
            step(&mut team.alice, |session| {
                session.merge_commit(TEAM, &update.commit_id, false)
            });
            for member in &mut team.active {
                step(member, |session| receive(session, update.commit.clone()));
            }
        }
        team.everybody_sends(backlog);
        team
    }

    fn everybody_sends(&mut self, each: usize) {
        self.encrypt(1, false);
        self.receive(each * self.active.len(), false);
    }

    /// Messages of the active members, who take turns.
    fn messages(&mut self, count: usize) -> Vec<Vec<u8>> {
        let message = |_| {
            self.next = (self.next + 1) % self.active.len();
            step(&mut self.active[self.next], |session| {
                session.encrypt(TEAM, &PLAINTEXT, b"")
            })
        };
        (0..count).map(message).collect()
    }

    fn encrypt(&mut self, count: usize, transaction: bool) -> f64 {
        self.measured(vec![(); count], transaction, |alice, ()| {
            alice.encrypt(TEAM, &PLAINTEXT, b"").map(drop)
        })
    }

    fn receive(&mut self, count: usize, transaction: bool) -> f64 {
        let messages = self.messages(count);
        self.measured(messages, transaction, receive)
    }

    fn measured<T>(&mut self, work: Vec<T>, transaction: bool, each: impl Fn(&mut Session, T) -> Result<()>) -> f64 {
        micros(work.len(), || {
            if transaction {
                self.alice.begin().unwrap();
            }
            for item in work {
                self.alice.step(|session| each(session, item)).unwrap();
            }
            if transaction {
                self.alice.commit().unwrap();
            } else {
                self.alice.store().unwrap();
            }
        })
    }
}

fn client(name: &str, keystore: Keystore) -> (Session, Vec<u8>) {
    let mut session = Session::new(keystore);
    session.bind(name.as_bytes()).unwrap();
    let credential = step(&mut session, |session| {
        session.add_credential(1, Credential::Basic(name.as_bytes().to_vec()))
    });
    (session, credential.reference.to_vec())
}

fn step<R>(session: &mut Session, work: impl FnOnce(&mut Session) -> Result<R>) -> R {
    let result = session.step(work).unwrap();
    session.store().unwrap();
    result
}

fn receive(session: &mut Session, message: Vec<u8>) -> Result<()> {
    let receipt = session.receive(&[message], &ReceiveOptions::default())?;
    assert!(matches!(
        receipt.received[0].what,
        What::Message { .. } | What::Commit { .. }
    ));
    Ok(())
}
