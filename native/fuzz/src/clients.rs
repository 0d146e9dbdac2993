//! Clients of the package: sessions over keystores in memory.

use conclave_core::conversation::commit::{Request, StagedCommit};
use conclave_core::conversation::intent::Invitee;
use conclave_core::conversation::receive::ReceiveOptions;
use conclave_core::conversation::received::{Received, What};
use conclave_core::credential::Credential;
use conclave_core::error::{Code, Error, Result};
use conclave_core::keystore::Keystore;
use conclave_core::session::Session;

use crate::meter::metered;
use crate::outcomes::count;

/// The conversation of all targets.
pub const TEAM: &[u8] = b"team";

pub struct Client {
    pub session: Session,
    pub credential: Vec<u8>,
    pub name: Vec<u8>,
}

impl Client {
    pub fn of(name: &str) -> Client {
        Client::over(name, Keystore::in_memory().expect("memory is there"))
    }

    pub fn over(name: &str, keystore: Keystore) -> Client {
        let mut session = Session::new(keystore);
        session
            .bind(name.as_bytes())
            .expect("a fresh keystore binds to anybody");
        let credential = Credential::Basic(name.into());
        let credential = session.step(|session| session.add_credential(1, credential));
        session.store().expect("it can be stored");
        Client {
            session,
            credential: credential.expect("the suite is supported").reference.to_vec(),
            name: name.into(),
        }
    }

    pub fn step<R>(&mut self, work: impl FnOnce(&mut Session) -> Result<R>) -> Result<R> {
        let result = self.session.step(work);
        if !self.session.in_transaction() {
            self.session.store()?;
        }
        result
    }

    pub fn key_package(&mut self) -> Vec<u8> {
        let credential = self.credential.clone();
        let packages = self.step(|session| session.generate_key_packages(&credential, 1, None, false));
        packages.expect("a key package can be made").remove(0).bytes
    }

    pub fn invitee(&mut self) -> Invitee {
        invitee(self.key_package())
    }

    /// Founds the team with these, to external joins open.
    pub fn found(&mut self, invitees: Vec<Invitee>) -> StagedCommit {
        let credential = self.credential.clone();
        let staged = self.step(|session| session.stage_create(TEAM, &credential, invitees, true));
        let staged = staged.expect("it can be founded");
        self.merge(&staged);
        staged
    }

    pub fn stage(&mut self, request: Request) -> StagedCommit {
        let staged = self.step(|session| session.stage_commit(TEAM, request));
        staged.expect("it can be staged").expect("there is work")
    }

    pub fn merge(&mut self, staged: &StagedCommit) {
        let id = staged.conversation_id.clone();
        let merged = self.step(|session| session.merge_commit(&id, &staged.commit_id, false));
        merged.expect("it can be merged");
    }

    pub fn commit(&mut self, request: Request) -> StagedCommit {
        let staged = self.stage(request);
        self.merge(&staged);
        staged
    }

    pub fn join(&mut self, welcome: &[u8]) {
        self.try_to_join(welcome).expect("the Welcome is good");
        self.session.store().expect("memory takes it");
    }

    /// A step that is not stored.
    pub fn try_to_join(&mut self, welcome: &[u8]) -> Result<()> {
        let join = |session: &mut Session| session.join_by_welcome(welcome, false).map(drop);
        metered(welcome.len(), || self.session.step(join))
    }

    /// A step that is not stored.
    pub fn try_to_join_from_outside(&mut self, group_info: &[u8]) -> Result<StagedCommit> {
        let credential = self.credential.clone();
        let join = |session: &mut Session| session.stage_external_join(TEAM, &credential, group_info, false);
        metered(group_info.len(), || self.session.step(join))
    }

    /// A step that is not stored.
    pub fn try_to_add(&mut self, key_package: &[u8]) -> Result<Option<StagedCommit>> {
        let request = Request::add(vec![invitee(key_package.to_vec())]);
        metered(key_package.len(), || {
            self.session.step(|session| session.stage_commit(TEAM, request))
        })
    }

    pub fn send(&mut self, text: &[u8]) -> Vec<u8> {
        let sent = self.step(|session| session.encrypt(TEAM, text, b""));
        sent.expect("it can be sent")
    }

    /// What of it counts for members must be good.
    pub fn receive(&mut self, message: &[u8]) -> Vec<Received> {
        let received = self.step(|session| session.receive(&[message.to_vec()], &ReceiveOptions::default()));
        received.expect("receiving is no error").received
    }

    /// Receives hostile bytes, metered.
    pub fn receive_hostile(&mut self, message: &[u8]) -> Vec<Received> {
        let batch = [message.to_vec()];
        let received = metered(message.len(), || {
            self.session
                .step(|session| session.receive(&batch, &ReceiveOptions::default()))
        });
        match received {
            Ok(receipt) => receipt.received,
            Err(error) => {
                note(&error);
                Vec::new()
            }
        }
    }

    /// Does the work in a transaction, which is taken back.
    pub fn and_back<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        self.session.begin().expect("none is open");
        let result = work(self);
        self.session.rollback().expect("memory takes it");
        result
    }
}

pub fn invitee(key_package: Vec<u8>) -> Invitee {
    Invitee {
        key_package,
        client_id: None,
    }
}

/// Counts a refusal. An internal error is a finding.
pub fn note(error: &Error) {
    if error.code() == Code::InternalError {
        panic!("{error} {}", causes(error));
    }
    count(format!("error {}", error.code().as_str()));
}

/// Counts how something ended.
pub fn noted<R>(what: &str, result: Result<R>) -> Option<R> {
    match result {
        Ok(value) => {
            count(format!("{what} ok"));
            Some(value)
        }
        Err(error) => {
            note(&error);
            None
        }
    }
}

fn causes(error: &Error) -> String {
    let mut causes = String::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        causes.push_str(&format!("({cause:?})"));
        next = cause.source();
    }
    causes
}

/// Counts what was received.
pub fn tell(what: &What) {
    let outcome = match what {
        What::Welcome => "Welcome".to_owned(),
        What::Rejected(Code::InternalError, reason) => panic!("a message is rejected by an internal error: {reason}"),
        What::Rejected(code, reason) => format!("rejected {} {reason}", code.as_str()),
        What::Message { .. } => "message".to_owned(),
        What::Commit { active, .. } => format!("commit, active: {active}"),
        What::Proposal { .. } => "proposal".to_owned(),
        What::Waiting { on, .. } => format!("waits for {on:?}"),
        What::Ignored(why) => format!("ignored {why:?}"),
        What::Unreadable(why) => format!("unreadable {why:?}"),
    };
    count(outcome);
}
