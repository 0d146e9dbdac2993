//! A keystore that goes on from an older state uses nothing that the lost state may have used.

mod support;

use conclave_core::conversation::commit::{Request, StagedCommit};
use conclave_core::conversation::received::{Ignored, What};
use conclave_core::error::Code;
use conclave_core::keystore::{DatabaseKey, Keystore};
use conclave_core::limits::MAX_RENEWALS_IN_EPOCH;
use conclave_core::session::Session;
use std::fs;
use support::foreign::Foreigner;
use support::{Client, TEAM, client, client_with};

/// Alice, whose keystore is a file, and a copy of it from before.
struct Files(tempfile::TempDir);

impl Files {
    fn alice() -> (Files, Client) {
        let files = Files(tempfile::tempdir().expect("a folder"));
        let keystore = Keystore::open(files.database(), &key()).expect("it is made");
        (files, client_with("alice", 1, keystore))
    }

    fn database(&self) -> std::path::PathBuf {
        self.0.path().join("alice.db")
    }

    fn copy(&self) -> std::path::PathBuf {
        self.0.path().join("copy.db")
    }

    /// Remembers this state.
    fn keep(&self, alice: Client) -> Client {
        let alice = self.again(alice, |database| {
            fs::copy(database, self.copy()).expect("copied");
            Keystore::open(database, &key())
        });
        alice.expect("opens")
    }

    /// Loses everything since.
    fn roll_back(&self, alice: Client) -> Client {
        let alice = self.again(alice, |database| {
            fs::copy(self.copy(), database).expect("copied");
            let refused = Keystore::open(database, &key()).expect_err("it is noticed");
            assert_eq!(refused.code(), Code::DatabaseRolledBack);
            let accepted = Keystore::open_accepting_rollback(database, &key(), Session::accept_rollback);
            accepted.expect("opens").close().expect("closes");
            // What was accepted is known at every later open.
            Keystore::open(database, &key())
        });
        alice.expect("opens")
    }

    fn again(
        &self,
        alice: Client,
        open: impl FnOnce(&std::path::Path) -> conclave_core::error::Result<Keystore>,
    ) -> conclave_core::error::Result<Client> {
        let Client {
            session,
            credential,
            name,
        } = alice;
        session.close()?;
        let mut session = Session::new(open(&self.database())?);
        session.bind(name.as_bytes())?;
        session.store()?;
        Ok(Client {
            session,
            credential,
            name,
        })
    }
}

fn key() -> DatabaseKey {
    DatabaseKey::try_from(&[7; 32][..]).expect("32 bytes")
}

fn encrypts(client: &mut Client) -> Result<(), Code> {
    let sent = client.step(|session| session.encrypt(TEAM, b"hello", b""));
    sent.map(drop).map_err(|error| error.code())
}

/// The delivery service refuses it.
fn refuse(client: &mut Client, staged: &StagedCommit) {
    let cleared = client.step(|session| session.clear_commit(TEAM, &staged.commit_id));
    assert!(cleared.expect("it is staged"));
}

/// Alice founds the team with bob and mallory, who looks at everything and keeps what she has
/// learnt.
fn team_of(alice: &mut Client) -> (Client, Foreigner) {
    let (mut bob, mut mallory) = (client("bob"), Foreigner::of("mallory"));
    let credential = alice.credential.clone();
    let invitees = vec![bob.invitee(), mallory.invitee()];
    let founding = alice
        .step(|session| session.stage_create(TEAM, &credential, invitees, false))
        .expect("it can be founded");
    alice.merge(&founding);
    bob.join(&founding);
    mallory.join(&founding);
    (bob, mallory)
}

#[test]
fn keys_are_renewed_before_anything_is_sent() {
    let (files, mut alice) = Files::alice();
    let (mut bob, mut mallory) = team_of(&mut alice);
    alice = files.keep(alice);
    let mut lost = vec![alice.send("one"), alice.send("two")];
    for _ in 0..3 {
        let refused = alice.stage(Request::update());
        refuse(&mut alice, &refused);
        lost.push(refused.commit);
    }
    assert_eq!(bob.read(&[&lost[0]]), ["one"]);

    alice = files.roll_back(alice);
    assert_eq!(encrypts(&mut alice), Err(Code::EpochExhausted));
    // Her own messages, which she does not know, are no forgeries.
    assert!(matches!(alice.receive(&[&lost[1]])[..], [What::Ignored(Ignored::Own)]));
    let update = alice.commit(Request::update());
    for message in lost.iter().chain([&update.commit]) {
        mallory.looks_at(message).expect("each has a generation of its own");
    }
    assert!(matches!(bob.receive(&[&update.commit])[..], [What::Commit { .. }]));
    assert_eq!(bob.read(&[&alice.send("in a new epoch")]), ["in a new epoch"]);
    assert!(matches!(alice.receive(&[&lost[0]])[..], [What::Ignored(Ignored::Own)]));
}

/// The lost state may have been in the epochs that others have begun as well.
#[test]
fn no_commit_of_somebody_else_renews_them() {
    let (files, mut alice) = Files::alice();
    let (mut bob, mut mallory) = team_of(&mut alice);
    alice = files.keep(alice);
    let bobs = bob.commit(Request::update());
    alice.receive(&[&bobs.commit]);
    mallory.receive(&[&bobs.commit]);
    let lost = [alice.send("one"), alice.stage(Request::update()).commit];

    alice = files.roll_back(alice);
    alice.receive(&[&bobs.commit]);
    assert_eq!(encrypts(&mut alice), Err(Code::EpochExhausted));
    let update = alice.commit(Request::update());
    for message in lost.iter().chain([&update.commit]) {
        mallory.looks_at(message).expect("each has a generation of its own");
    }
    bob.receive(&[&update.commit]);
    assert_eq!(bob.read(&[&alice.send("anew")]), ["anew"]);
}

/// It was staged before, and the lost state may have gone on in the epoch that it makes.
#[test]
fn no_commit_of_the_lost_state_renews_them() {
    let (files, mut alice) = Files::alice();
    let (mut bob, _) = team_of(&mut alice);
    let staged = alice.stage(Request::update());
    alice = files.keep(alice);
    alice.merge(&staged);
    alice.send("by the lost state");

    alice = files.roll_back(alice);
    alice.merge(&staged);
    assert_eq!(encrypts(&mut alice), Err(Code::EpochExhausted));
    let update = alice.commit(Request::update());
    bob.receive(&[&staged.commit, &update.commit]);
    assert_eq!(bob.read(&[&alice.send("anew")]), ["anew"]);
}

#[test]
fn a_conversation_that_the_lost_state_may_have_joined_renews_them_too() {
    let (files, mut alice) = Files::alice();
    let before = alice.invitee();
    alice = files.keep(alice);
    alice
        .step(|session| session.set_data("later", Some(b"x")))
        .expect("stored");
    alice = files.roll_back(alice);
    let after = alice.invitee();
    for (invitee, expected) in [(before, Err(Code::EpochExhausted)), (after, Ok(()))] {
        let mut bob = client("bob");
        let credential = bob.credential.clone();
        let founding = bob
            .step(|session| session.stage_create(TEAM, &credential, vec![invitee], false))
            .expect("it can be founded");
        bob.merge(&founding);
        let welcome = founding.welcome.clone().expect("it adds alice");
        alice
            .step(|session| session.join_by_welcome(&welcome, true))
            .expect("the Welcome is good");
        assert_eq!(encrypts(&mut alice), expected);
        let update = alice.commit(Request::update());
        bob.receive(&[&update.commit]);
        assert_eq!(bob.read(&[&alice.send("anew")]), ["anew"]);
        alice.step(|session| session.wipe(TEAM)).expect("it is there");
    }
    // What is founded from here on was never in the lost state.
    let credential = alice.credential.clone();
    alice
        .step(|session| session.create_conversation(TEAM, &credential, false))
        .expect("it can be founded");
    assert_eq!(encrypts(&mut alice), Ok(()));
}

/// Others skip so many generations and no more.
#[test]
fn renewals_begin_where_no_lost_commit_can_have_been_and_end_where_nobody_would_find_them() {
    let (files, mut alice) = Files::alice();
    let (mut bob, _) = team_of(&mut alice);
    alice = files.keep(alice);
    alice.send("lost");
    alice = files.roll_back(alice);
    let mut last = None;
    for _ in 0..MAX_RENEWALS_IN_EPOCH {
        let staged = alice.stage(Request::update());
        refuse(&mut alice, &staged);
        last = Some(staged.commit);
    }
    assert_eq!(
        alice.code_of(|session| session.stage_commit(TEAM, Request::update())),
        Code::EpochExhausted
    );
    let last = last.expect("there was one");
    assert!(
        matches!(bob.receive(&[&last])[..], [What::Commit { .. }]),
        "the others find also the last of them"
    );
}

/// The lost state may have been in the epoch that its external commit made.
#[test]
fn a_join_from_outside_renews_them_unless_the_lost_state_has_known_it() {
    let (files, mut alice) = Files::alice();
    let (mut carol, founding) = founded_by("carol", &mut alice);
    let welcome = founding.welcome.expect("it adds alice");
    let info = carol.session.group_info(TEAM).expect("it is a member");
    let credential = alice.credential.clone();
    let known = alice
        .step(|session| session.stage_external_join(TEAM, &credential, &info, false))
        .expect("it can be staged");
    alice = files.keep(alice);
    alice
        .step(|session| session.merge_join(TEAM, &known.commit_id, false))
        .expect("it can be merged");
    alice.send("by the lost state");

    alice = files.roll_back(alice);
    // The Welcome, which she has not needed then, comes first.
    alice
        .step(|session| session.join_by_welcome(&welcome, false))
        .expect("the Welcome is good");
    alice
        .step(|session| session.merge_join(TEAM, &known.commit_id, false))
        .expect("it can be merged");
    assert_eq!(encrypts(&mut alice), Err(Code::EpochExhausted));
    carol.receive(&[&known.commit]);

    let info = carol.session.group_info(TEAM).expect("it is a member");
    let fresh = alice
        .step(|session| session.stage_external_join(TEAM, &credential, &info, false))
        .expect("it can be staged");
    alice
        .step(|session| session.merge_join(TEAM, &fresh.commit_id, false))
        .expect("it can be merged");
    carol.receive(&[&fresh.commit]);
    assert_eq!(carol.read(&[&alice.send("anew")]), ["anew"]);
}

/// A team that is open to joins from outside.
fn founded_by(name: &'static str, other: &mut Client) -> (Client, StagedCommit) {
    let mut founder = client(name);
    let credential = founder.credential.clone();
    let invitees = vec![other.invitee()];
    let staged = founder
        .step(|session| session.stage_create(TEAM, &credential, invitees, true))
        .expect("it can be founded");
    founder.merge(&staged);
    (founder, staged)
}

/// The lost state has made commits: nobody follows what this client commits now.
#[test]
fn a_welcome_lets_in_again_who_has_to_renew_keys_and_cannot() {
    let (files, mut alice) = Files::alice();
    let (mut bob, _mallory) = team_of(&mut alice);
    let invitation = alice.invitee();
    alice = files.keep(alice);
    let lost = alice.commit(Request::update());
    bob.receive(&[&lost.commit]);

    alice = files.roll_back(alice);
    let state = alice.session.conversation_state(TEAM).expect("it is a member");
    assert!(state.renewal_due);
    let removes = bob.commit(Request::remove(vec![b"alice".as_slice().into()]));
    let adds = bob.commit(Request::add(vec![invitation]));
    alice.receive(&[&removes.commit]);
    alice.join(&adds);
    assert_eq!(alice.authenticator(), bob.authenticator());
    // The lost state may have joined by that key package, too.
    let update = alice.commit(Request::update());
    bob.receive(&[&update.commit]);
    let state = alice.session.conversation_state(TEAM).expect("it is a member");
    assert!(!state.renewal_due);
    assert_eq!(bob.read(&[&alice.send("back")]), ["back"]);
}
