//! Clients for the stories: sessions over keystores in memory, each with a credential.
#![allow(dead_code, unreachable_pub, reason = "every test file uses a part of it")]

pub mod foreign;

use conclave_core::conversation::commit::{MergeOutcome, Request, StagedCommit};
use conclave_core::conversation::intent::Invitee;
use conclave_core::conversation::receive::ReceiveOptions;
use conclave_core::conversation::received::{Receipt, Received, What};
use conclave_core::credential::Credential;
use conclave_core::error::{Code, Result};
use conclave_core::keystore::Keystore;
use conclave_core::session::Session;

/// The conversation of most stories.
pub const TEAM: &[u8] = b"team";

/// A client: its session and its credential.
pub struct Client {
    pub session: Session,
    pub credential: Vec<u8>,
    pub name: &'static str,
}

/// A client with a fresh keystore in memory.
pub fn client(name: &'static str) -> Client {
    client_with(name, 1, Keystore::in_memory().expect("memory is there"))
}

/// A client of another cipher suite, or over another keystore.
pub fn client_with(name: &'static str, suite: u16, keystore: Keystore) -> Client {
    let mut session = Session::new(keystore);
    session
        .bind(name.as_bytes())
        .expect("a fresh keystore binds to anybody");
    let credential = session
        .step(|session| session.add_credential(suite, Credential::Basic(name.as_bytes().to_vec())))
        .expect("the suite is supported");
    session.store().expect("memory takes it");
    Client {
        session,
        credential: credential.reference.to_vec(),
        name,
    }
}

impl Client {
    /// One step, stored.
    pub fn step<R>(&mut self, work: impl FnOnce(&mut Session) -> Result<R>) -> Result<R> {
        let result = self.session.step(work);
        if !self.session.in_transaction() {
            self.session.store()?;
        }
        result
    }

    pub fn key_package(&mut self) -> Vec<u8> {
        let credential = self.credential.clone();
        let mut packages = self
            .step(|session| session.generate_key_packages(&credential, 1, None, false))
            .expect("a key package can be made");
        packages.remove(0).bytes
    }

    pub fn invitee(&mut self) -> Invitee {
        Invitee {
            key_package: self.key_package(),
            client_id: Some(self.name.as_bytes().to_vec()),
        }
    }

    /// Stages a commit of the team.
    pub fn stage(&mut self, request: Request) -> StagedCommit {
        self.step(|session| session.stage_commit(TEAM, request))
            .expect("it can be staged")
            .expect("there is work")
    }

    /// Builds a lost commit again.
    pub fn stage_again(&mut self, intent: &[u8]) -> Option<StagedCommit> {
        self.step(|session| session.restage_commit(TEAM, intent))
            .expect("it can be staged")
    }

    /// Builds a lost commit again, and it is accepted.
    pub fn commit_again(&mut self, intent: &[u8]) -> StagedCommit {
        let staged = self.stage_again(intent).expect("there is work");
        self.merge(&staged);
        staged
    }

    /// The delivery service accepts.
    pub fn merge(&mut self, staged: &StagedCommit) {
        let merged = self
            .step(|session| session.merge_commit(TEAM, &staged.commit_id, false))
            .expect("it can be merged");
        assert_eq!(merged.outcome, MergeOutcome::Merged);
    }

    pub fn commit(&mut self, request: Request) -> StagedCommit {
        let staged = self.stage(request);
        self.merge(&staged);
        staged
    }

    pub fn join(&mut self, staged: &StagedCommit) {
        let welcome = staged.welcome.clone().expect("the commit adds somebody");
        self.step(|session| session.join_by_welcome(&welcome, false))
            .expect("the Welcome is good");
    }

    pub fn send(&mut self, text: &str) -> Vec<u8> {
        self.step(|session| session.encrypt(TEAM, text.as_bytes(), b""))
            .expect("it can be sent")
    }

    pub fn receipt(&mut self, messages: &[&[u8]]) -> Receipt {
        let messages: Vec<Vec<u8>> = messages.iter().map(|message| message.to_vec()).collect();
        self.step(|session| session.receive(&messages, &ReceiveOptions::default()))
            .expect("receiving is never an error")
    }

    pub fn receive(&mut self, messages: &[&[u8]]) -> Vec<What> {
        self.receipt(messages)
            .received
            .into_iter()
            .map(|received| received.what)
            .collect()
    }

    /// What can be read of these messages.
    pub fn read(&mut self, messages: &[&[u8]]) -> Vec<String> {
        texts(&self.receipt(messages).received)
    }

    pub fn epoch(&mut self) -> u64 {
        self.session.epoch(TEAM).expect("it is a member")
    }

    pub fn authenticator(&mut self) -> Vec<u8> {
        self.session.epoch_authenticator(TEAM).expect("it is a member")
    }

    pub fn member_names(&mut self) -> Vec<String> {
        let members = self.session.members(TEAM).expect("it is a member");
        members
            .iter()
            .map(|member| String::from_utf8_lossy(&member.client_id).into_owned())
            .collect()
    }

    pub fn code_of<R: std::fmt::Debug>(&mut self, work: impl FnOnce(&mut Session) -> Result<R>) -> Code {
        self.step(work).expect_err("it must be refused").code()
    }
}

/// The plaintexts among what was received.
pub fn texts(received: &[Received]) -> Vec<String> {
    received
        .iter()
        .filter_map(|received| match &received.what {
            What::Message { plaintext, .. } => Some(String::from_utf8_lossy(plaintext).into_owned()),
            _ => None,
        })
        .collect()
}

/// Alice creates the team with everybody else.
pub fn team(others: &mut [&mut Client]) -> Client {
    let (alice, founding) = founded(others, false);
    for other in others {
        other.join(&founding);
    }
    alice
}

/// Alice's team, which nobody has joined yet, and the commit that founded it. `open`: to external joins.
pub fn founded(others: &mut [&mut Client], open: bool) -> (Client, StagedCommit) {
    let mut alice = client("alice");
    let invitees = others.iter_mut().map(|other| other.invitee()).collect();
    let credential = alice.credential.clone();
    let staged = alice
        .step(|session| session.stage_create(TEAM, &credential, invitees, open))
        .expect("it can be founded");
    alice.merge(&staged);
    (alice, staged)
}

/// Alice and bob in a team of this cipher suite.
pub fn pair(suite: u16) -> (Client, Client) {
    let of = |name| client_with(name, suite, Keystore::in_memory().expect("memory is there"));
    let (mut alice, mut bob) = (of("alice"), of("bob"));
    let credential = alice.credential.clone();
    alice
        .step(|session| session.create_conversation(TEAM, &credential, false))
        .expect("it can be created");
    let staged = alice.commit(Request::add(vec![bob.invitee()]));
    bob.join(&staged);
    (alice, bob)
}
