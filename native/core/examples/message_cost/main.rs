//! What a message costs at its sender and at a receiver, against the size of the group: `cargo run --release --example
//! message_cost`. Median microseconds per message, on a keystore file, for messages of 1 KiB sent or received alone, 100
//! sharing an fsync, and 100 in one transaction.
//!
//! One in twenty members takes part, in the present and in every past epoch that is kept.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that measures and prints"
)]

use std::time::{Duration, Instant};

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
const ROUNDS: usize = 7;
const MANY: usize = 100;

fn main() {
    // How many messages every active member has sent in the present epoch.
    let backlog = std::env::args().nth(1).map_or(1, |count| count.parse().unwrap());
    println!("            encrypt: alone   of 100   in transaction   receive: alone   of 100   in transaction");
    for members in [2, 100, 1000] {
        let mut team = Team::of(members, backlog);
        let encrypt = [1, MANY, MANY].map(|count| (count, count == 1));
        let mut row = Vec::new();
        for (n, (count, _)) in encrypt.into_iter().enumerate() {
            row.push(team.encrypting(count, n == 2));
        }
        for (n, (count, _)) in encrypt.into_iter().enumerate() {
            row.push(team.receiving(count, n == 2));
        }
        println!(
            "N = {members:5} {:13.1} {:10.1} {:12.1} {:16.1} {:10.1} {:12.1}",
            row[0], row[1], row[2], row[3], row[4], row[5]
        );
    }
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
            let name = format!("member {n}");
            let (mut member, credential) = client(&name, Keystore::in_memory().unwrap());
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
        step(&mut alice, |session| session.merge_commit(TEAM, &founding.commit_id));
        let welcome = founding.welcome.unwrap();
        for member in &mut active {
            step(member, |session| session.join_by_welcome(&welcome));
        }
        let next = 0;
        let mut team = Team {
            alice,
            active,
            next,
            _folder: folder,
        };
        for _ in 0..PAST_EPOCHS {
            team.everybody_sends(1);
            let update = step(&mut team.alice, |session| session.stage_commit(TEAM, Request::Update)).unwrap();
            step(&mut team.alice, |session| session.merge_commit(TEAM, &update.commit_id));
            for member in &mut team.active {
                receive(member, std::slice::from_ref(&update.commit));
            }
        }
        team.everybody_sends(backlog);
        team
    }

    fn everybody_sends(&mut self, count: usize) {
        step(&mut self.alice, |session| session.encrypt(TEAM, b"alice is here", b""));
        let messages = self.messages(count * self.active.len());
        receive(&mut self.alice, &messages);
    }

    /// Messages of the active members, who take turns.
    fn messages(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count)
            .map(|_| {
                self.next = (self.next + 1) % self.active.len();
                step(&mut self.active[self.next], |session| {
                    session.encrypt(TEAM, &[7; 1024], b"")
                })
            })
            .collect()
    }

    fn encrypting(&mut self, count: usize, transaction: bool) -> f64 {
        self.measured(count, transaction, |alice, _| {
            alice.encrypt(TEAM, &[7; 1024], b"").map(drop)
        })
    }

    fn receiving(&mut self, count: usize, transaction: bool) -> f64 {
        self.measured(count, transaction, |alice, message| {
            let receipt = alice.receive(&[message], &ReceiveOptions::default())?;
            assert!(matches!(receipt.received[0].what, What::Message { .. }));
            Ok(())
        })
    }

    /// The median time per message, in microseconds.
    fn measured(&mut self, count: usize, transaction: bool, work: impl Fn(&mut Session, Vec<u8>) -> Result<()>) -> f64 {
        let rounds = if count == 1 { ROUNDS * 20 } else { ROUNDS };
        let mut times: Vec<Duration> = (0..rounds)
            .map(|_| {
                let messages = self.messages(count);
                let start = Instant::now();
                if transaction {
                    self.alice.begin().unwrap();
                }
                for message in messages {
                    self.alice.step(|session| work(session, message)).unwrap();
                }
                if transaction {
                    self.alice.commit().unwrap();
                } else {
                    self.alice.store().unwrap();
                }
                start.elapsed()
            })
            .collect();
        times.sort();
        times[rounds / 2].as_secs_f64() * 1e6 / count as f64
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

fn receive(session: &mut Session, messages: &[Vec<u8>]) {
    step(session, |session| session.receive(messages, &ReceiveOptions::default()));
}
