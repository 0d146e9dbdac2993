//! One conversation whose rows are damaged, each in turn and in every way: that is the trouble of
//! this conversation alone, it can be wiped, and it can be joined anew.

mod support;

use std::collections::BTreeSet;

use conclave_core::conversation::commit::{MergeOutcome, Request};
use conclave_core::conversation::receive::ReceiveOptions;
use conclave_core::conversation::received::What;
use conclave_core::error::{Code, Result};
use conclave_core::keystore::{DatabaseKey, Entity, Keystore};
use conclave_core::session::Session;
use support::foreign::Foreigner;
use support::{Client, TEAM, client, client_with, founded, texts};

const FAMILY: &[u8] = b"family";

/// A row: its kind, conversation, key and value.
type Row = (Entity, Vec<u8>, Vec<u8>, Vec<u8>);

/// A client as it is stored, to be started again and again.
struct Stored {
    rows: Vec<Row>,
    credential: Vec<u8>,
    name: &'static str,
}

/// Clients whose keystores are files, which can be read when their sessions are closed.
struct Folder(tempfile::TempDir);

impl Folder {
    fn client(&self, name: &'static str) -> Client {
        client_with(name, 1, self.open(name))
    }

    fn open(&self, name: &str) -> Keystore {
        let key = DatabaseKey::try_from([7; 32].as_slice()).expect("32 bytes");
        Keystore::open(self.0.path().join(name), &key).expect("it can be opened")
    }

    fn stored(&self, client: Client) -> Stored {
        let Client {
            session,
            credential,
            name,
        } = client;
        session.close().expect("it can be closed");
        let keystore = self.open(name);
        let of_kind = |kind: &Entity| {
            let rows = keystore.rows().list_all(*kind).expect("they can be read");
            let row = |(scope, key, value): (_, _, conclave_core::keystore::Value)| (*kind, scope, key, value.to_vec());
            rows.into_iter().map(row).collect::<Vec<_>>()
        };
        Stored {
            rows: Entity::ALL.iter().flat_map(of_kind).collect(),
            credential,
            name,
        }
    }
}

impl Stored {
    fn start(&self) -> Client {
        self.start_with(&self.rows)
    }

    fn start_with(&self, rows: &[Row]) -> Client {
        let keystore = Keystore::in_memory().expect("memory is there");
        for (entity, scope, key, value) in rows {
            keystore.rows().put(*entity, scope, key, value.clone());
        }
        keystore.rows().flush().expect("memory takes it");
        let mut session = Session::new(keystore);
        session
            .bind(self.name.as_bytes())
            .expect("what is damaged is in no other's way");
        session.store().expect("memory takes it");
        Client {
            session,
            credential: self.credential.clone(),
            name: self.name,
        }
    }
}

/// What the stories begin with: alice, who has rows of as many kinds as possible of the team, and
/// bob, who is with her there and in the family; what he has sent to both, which she has not
/// received.
struct Scene {
    alice: Stored,
    bob: Stored,
    to_team: Vec<u8>,
    to_family: Vec<u8>,
    /// The rows of the team in alice's keystore.
    scope: Vec<u8>,
}

fn scene() -> Scene {
    let folder = Folder(tempfile::tempdir().expect("a folder"));
    let (mut alice, mut bob) = (folder.client("alice"), folder.client("bob"));
    let (mut carol, mut frank) = (client("carol"), Foreigner::of("frank"));
    let credential = alice.credential.clone();
    for id in [TEAM, FAMILY] {
        let invitees = vec![bob.invitee()];
        let founding = alice
            .step(|session| session.stage_create(id, &credential, invitees, true))
            .expect("it can be founded");
        alice
            .step(|session| session.merge_commit(id, &founding.commit_id, false))
            .expect("it can be merged");
        bob.join(&founding);
    }
    let adding = alice.commit(Request::add(vec![carol.invitee(), frank.invitee()]));
    frank.join(&adding);
    let removing = alice.commit(Request::remove(vec![b"carol".as_slice().into()]));
    bob.receive(&[&adding.commit, &removing.commit]);
    frank.receive(&[&removing.commit]);
    for text in ["one", "two"] {
        bob.read(&[&alice.send(text)]);
        alice.read(&[&bob.send(text)]);
    }
    // Her commit is on its way, a proposal waits for one, and another one was refused.
    let (proposed, refused) = (
        frank.propose_add(&client("dave").invitee()),
        frank.propose_add(&client("bob").invitee()),
    );
    alice.receive(&[&proposed, &refused]);
    alice.stage(Request::update());
    // Bob is an epoch further: what he sends there waits at hers, and so does her way to join from
    // outside.
    let early = {
        bob.commit(Request::update());
        bob.send("early")
    };
    alice.receive(&[&early]);
    let group_info = bob.session.group_info(TEAM).expect("he is a member");
    alice
        .step(|session| session.stage_external_join(TEAM, &credential, &group_info, false))
        .expect("it can be staged");
    let to_team = bob.send("to the team");
    let to_family = bob
        .step(|session| session.encrypt(FAMILY, b"to the family", b""))
        .expect("it can be sent");
    let (alice, bob) = (folder.stored(alice), folder.stored(bob));
    let of_team = alice.rows.iter().find(|(_, scope, _, _)| contains(scope, TEAM));
    let scope = of_team.expect("it has rows").1.clone();
    Scene {
        alice,
        bob,
        to_team,
        to_family,
        scope,
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The ways to damage a row; `other` is another one of the same conversation.
fn damages(rows: &[Row], row: usize, other: usize) -> Vec<(&'static str, Vec<Row>)> {
    let with = |change: &dyn Fn(&mut Vec<Row>)| {
        let mut rows = rows.to_vec();
        change(&mut rows);
        rows
    };
    vec![
        ("deleted", with(&|rows| drop(rows.remove(row)))),
        ("empty", with(&|rows| rows[row].3.clear())),
        (
            "cut",
            with(&|rows| {
                let half = rows[row].3.len() / 2;
                rows[row].3.truncate(half);
            }),
        ),
        (
            "with a flipped bit",
            with(&|rows| {
                let middle = rows[row].3.len() / 2;
                if let Some(byte) = rows[row].3.get_mut(middle) {
                    *byte ^= 0x10;
                }
            }),
        ),
        (
            "exchanged with another row",
            with(&|rows| {
                let value = rows[row].3.clone();
                rows[row].3 = std::mem::replace(&mut rows[other].3, value);
            }),
        ),
        (
            "under a false key",
            with(&|rows| {
                // For a page of message secrets: far beyond the others of its section.
                let false_key = match rows[row].2.as_slice() {
                    [key @ .., _, _, _, _] if rows[row].0 == Entity::MessageSecrets => [key, &[0xff; 4]].concat(),
                    key => [key, &[0xff]].concat(),
                };
                rows[row].2 = false_key;
            }),
        ),
        ("under a huge key", with(&|rows| rows[row].2 = vec![0xff; 1 << 20])),
    ]
}

/// How the team is joined anew.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Wiped, then from outside.
    WipedAndFromOutside,
    /// From outside, over what is there.
    FromOutside,
    /// Wiped, then by a Welcome.
    WipedAndByWelcome,
}

impl Scene {
    /// What alice can still do with the team when her rows are these; then it is joined anew.
    fn plays(&self, rows: &[Row], way: Way) -> BTreeSet<&'static str> {
        let (mut alice, mut bob) = (self.alice.start_with(rows), self.bob.start());
        let listed = alice.session.conversations().expect("one damaged is not all");
        assert!(listed.contains(&FAMILY.to_vec()));
        alice.session.unsettled_commits().expect("one damaged is not all");
        // A batch with messages of both.
        let told = alice
            .step(|session| {
                session.receive(
                    &[self.to_team.clone(), self.to_family.clone()],
                    &ReceiveOptions::default(),
                )
            })
            .expect("receiving is no error");
        assert_eq!(texts(&told.received), ["to the family"]);
        let mut said: BTreeSet<&str> = told
            .received
            .iter()
            .filter_map(|received| match received.what {
                What::Rejected(code, _) => Some(code.as_str()),
                _ => None,
            })
            .collect();
        let asked: [fn(&mut Session) -> Result<()>; 6] = [
            |session| session.conversation_state(TEAM).map(drop),
            |session| session.members(TEAM).map(drop),
            |session| session.encrypt(TEAM, b"x", b"").map(drop),
            |session| session.export_secret(TEAM, "label", b"", 32).map(drop),
            |session| session.staged_commit(TEAM).map(drop),
            |session| {
                if let Some(staged) = session.staged_commit(TEAM)? {
                    session.clear_commit(TEAM, &staged.commit_id)?;
                }
                session.stage_commit(TEAM, Request::update()).map(drop)
            },
        ];
        for ask in asked {
            said.extend(alice.step(ask).err().map(|error| error.code().as_str()));
        }
        let to_family = alice
            .step(|session| session.encrypt(FAMILY, b"from alice", b""))
            .expect("the family goes on");
        assert_eq!(bob.read(&[&to_family]), ["from alice"]);
        self.comes_back(&mut alice, &mut bob, way);
        said
    }

    fn comes_back(&self, alice: &mut Client, bob: &mut Client, way: Way) {
        let credential = alice.credential.clone();
        if !matches!(way, Way::FromOutside) {
            alice
                .step(|session| session.wipe(TEAM))
                .expect("whatever is damaged, it can be wiped");
            let code = alice.code_of(|session| session.conversation_state(TEAM));
            assert_eq!(code, Code::ConversationNotFound);
            assert_eq!(alice.code_of(|session| session.wipe(TEAM)), Code::ConversationNotFound);
        } else if let Some(open) = alice.session.staged_join(TEAM).expect("it can be read") {
            alice
                .step(|session| session.drop_join(TEAM, &open.commit_id))
                .expect("it can be dropped");
        }
        if let Way::WipedAndByWelcome = way {
            bob.commit(Request::remove(vec![b"alice".as_slice().into()]));
            let adding = bob.commit(Request::add(vec![alice.invitee()]));
            alice.join(&adding);
        } else {
            let group_info = bob.session.group_info(TEAM).expect("he is a member");
            let joining = alice
                .step(|session| session.stage_external_join(TEAM, &credential, &group_info, false))
                .expect("it can be staged");
            let merged = alice
                .step(|session| session.merge_join(TEAM, &joining.commit_id, false))
                .expect("it can be merged");
            assert_eq!(merged.outcome, MergeOutcome::Merged);
            bob.receive(&[&joining.commit]);
        }
        let (hello, hi) = (alice.send("hello"), bob.send("hi"));
        assert_eq!(bob.read(&[&hello]), ["hello"]);
        assert_eq!(alice.read(&[&hi]), ["hi"]);
        let committed = alice.commit(Request::update());
        bob.receive(&[&committed.commit]);
        assert_eq!(alice.authenticator(), bob.authenticator());
        alice.session.conversation_state(TEAM).expect("all is well");
    }

    /// Alice's rows of the team.
    fn of_team(&self) -> impl Iterator<Item = (usize, &Row)> {
        let rows = self.alice.rows.iter().enumerate();
        rows.filter(|(_, row)| row.1 == self.scope)
    }
}

#[test]
fn whatever_row_of_a_conversation_is_damaged_the_others_go_on_and_it_can_be_joined_anew() {
    let scene = scene();
    let rows = &scene.alice.rows;
    let kinds: BTreeSet<Entity> = scene.of_team().map(|(_, row)| row.0).collect();
    for kind in [
        Entity::Conversation,
        Entity::Tree,
        Entity::Proposal,
        Entity::MessageSecrets,
        Entity::GroupState,
        Entity::StagedCommit,
        Entity::KnownMessage,
        Entity::Buffered,
        Entity::Generations,
        Entity::PastMember,
        Entity::Seen,
        Entity::PendingJoin,
        Entity::NewestEpoch,
        Entity::SetAside,
        Entity::EpochKeyPairs,
    ] {
        assert!(kinds.contains(&kind), "{kind:?}");
    }
    let all: Vec<usize> = scene.of_team().map(|(place, _)| place).collect();
    for (number, &row) in all.iter().enumerate() {
        let other = all[(number + 1) % all.len()];
        for (how, damaged) in damages(rows, row, other) {
            let (kind, key) = (rows[row].0, &rows[row].2);
            let said = scene.plays(&damaged, Way::WipedAndFromOutside);
            assert!(
                !said.contains("INTERNAL_ERROR") && !said.contains("DATABASE_CORRUPT"),
                "{kind:?} {key:02x?} {how}: {said:?}"
            );
        }
    }
}

#[test]
fn what_a_group_cannot_be_loaded_without_is_conversation_corrupt() {
    let scene = scene();
    let rows = &scene.alice.rows;
    for (row, (kind, _, _, _)) in scene.of_team() {
        let is_needed = matches!(
            kind,
            Entity::Tree
                | Entity::Context
                | Entity::ConfirmationTag
                | Entity::InterimTranscriptHash
                | Entity::GroupState
                | Entity::OwnLeafIndex
                | Entity::EpochSecrets
                | Entity::ResumptionPskStore
                | Entity::JoinConfig
        );
        if !is_needed {
            continue;
        }
        for (how, damaged) in damages(rows, row, row).into_iter().take(3) {
            for way in [Way::FromOutside, Way::WipedAndByWelcome] {
                let said = scene.plays(&damaged, way);
                assert!(said.contains("CONVERSATION_CORRUPT"), "{kind:?} {how}: {said:?}");
            }
        }
    }
}

#[test]
fn an_own_leaf_that_is_not_in_the_tree_is_damage_and_no_panic() {
    let scene = scene();
    let rows = &scene.alice.rows;
    let (row, _) = scene
        .of_team()
        .find(|(_, row)| row.0 == Entity::OwnLeafIndex)
        .expect("she has a leaf");
    // MessagePack integers: blank leaves, other members' leaves, leaves far outside of the tree.
    for index in [
        &[0x02][..],
        &[0x01],
        &[0x07],
        &[0xcd, 0x10, 0x00],
        &[0xce, 0xff, 0xff, 0xff, 0xff],
    ] {
        let mut damaged = rows.clone();
        damaged[row].3 = index.to_vec();
        let said = scene.plays(&damaged, Way::WipedAndFromOutside);
        assert!(!said.contains("INTERNAL_ERROR"), "{index:?}: {said:?}");
    }
}

#[test]
fn a_seal_that_does_not_open_is_the_trouble_of_its_conversation() {
    let key = [7; 32];
    let open = |path: &std::path::Path| Keystore::open(path, &DatabaseKey::try_from(&key[..]).expect("32 bytes"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dora.db");
    let (mut bob, mut dora) = (
        client("bob"),
        client_with("dora", 1, open(&path).expect("it can be opened")),
    );
    let (mut family, founding) = founded(&mut [&mut dora, &mut bob], true);
    dora.join(&founding);
    bob.join(&founding);
    let credential = dora.credential.clone();
    dora.step(|session| session.create_conversation(FAMILY, &credential, false))
        .expect("it can be created");
    dora.session.close().expect("it can be closed");
    // Somebody with the key exchanges the values of two rows of the team, seals and all.
    let other = rusqlite::Connection::open(&path).expect("the file opens");
    unsafe_calls::key(&other, &key).expect("it takes the key");
    let of = |kind: Entity| -> (i64, Vec<u8>, Vec<u8>) {
        let sql = "SELECT rows.id, rows.value, seals.key FROM rows JOIN seals USING (id)
                   WHERE entity = ?1 AND instr(scope, ?2) > 0";
        other
            .query_row(sql, rusqlite::params![kind as u8, TEAM], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .expect("there is one")
    };
    let (tree, context) = (of(Entity::Tree), of(Entity::Context));
    for ((id, _, _), (_, value, seal)) in [(&tree, &context), (&context, &tree)] {
        other
            .execute("UPDATE rows SET value = ?2 WHERE id = ?1", rusqlite::params![id, value])
            .expect("it can be written");
        other
            .execute("UPDATE seals SET key = ?2 WHERE id = ?1", rusqlite::params![id, seal])
            .expect("it can be written");
    }
    drop(other);
    let mut dora = Client {
        session: Session::new(open(&path).expect("its pages are whole")),
        credential,
        name: "dora",
    };
    dora.step(|session| session.bind(b"dora")).expect("it is hers");
    assert_eq!(
        dora.code_of(|session| session.conversation_state(TEAM)),
        Code::ConversationCorrupt
    );
    let hello = family.send("hello");
    let told = dora.receive(&[&hello]);
    assert!(
        matches!(told[0], What::Rejected(Code::ConversationCorrupt, _)),
        "{told:?}"
    );
    dora.step(|session| session.encrypt(FAMILY, b"x", b""))
        .expect("the family goes on");
    dora.step(|session| session.wipe(TEAM)).expect("it can be wiped");
    let group_info = bob.session.group_info(TEAM).expect("he is a member");
    let credential = dora.credential.clone();
    let joining = dora
        .step(|session| session.stage_external_join(TEAM, &credential, &group_info, false))
        .expect("it can be staged");
    dora.step(|session| session.merge_join(TEAM, &joining.commit_id, false))
        .expect("it can be merged");
    bob.receive(&[&joining.commit]);
    assert_eq!(bob.read(&[&dora.send("back")]), ["back"]);
}

#[test]
fn a_damaged_key_package_is_one_less() {
    let folder = Folder(tempfile::tempdir().expect("a folder"));
    let mut alice = folder.client("alice");
    let kept = alice.key_package();
    alice.key_package();
    let stored = folder.stored(alice);
    let row = stored.rows.iter().position(|row| row.0 == Entity::KeyPackage);
    let row = row.expect("she has two");
    for (how, damaged) in damages(&stored.rows, row, row).into_iter().take(4) {
        let mut alice = stored.start_with(&damaged);
        let left = alice.session.key_packages_with_bytes().expect("the others are there");
        // A flipped bit may leave it readable.
        assert!(left.len() == 1 || how == "with a flipped bit", "{how}: {}", left.len());
        alice.session.idle().expect("it can be tidied");
        let again = alice.step(|session| session.generate_key_packages(&stored.credential, 1, None, true));
        again.expect("new ones can be made");
    }
    assert!(!kept.is_empty());
}

#[test]
fn what_waits_for_a_conversation_that_is_damaged_keeps_no_stranger_out() {
    let folder = Folder(tempfile::tempdir().expect("a folder"));
    let mut alice = folder.client("alice");
    let others = [FAMILY, TEAM].map(|id| {
        let mut other = client("other");
        let credential = other.credential.clone();
        other
            .step(|session| session.create_conversation(id, &credential, false))
            .expect("it can be created");
        other
            .step(|session| session.encrypt(id, b"early", b""))
            .expect("it is a member")
    });
    alice.receive(&[&others[0]]);
    let mut stored = folder.stored(alice);
    let counted = stored.rows.iter_mut().find(|row| row.0 == Entity::BufferedStranger);
    counted.expect("something waits").3 = b"damaged".to_vec();
    let told = stored.start().receive(&[&others[1]]);
    assert!(matches!(told[..], [What::Waiting { .. }]), "{told:?}");
    let told = stored.start().receive(&[&others[0]]);
    assert!(
        matches!(told[..], [What::Rejected(Code::ConversationCorrupt, _)]),
        "{told:?}"
    );
}
