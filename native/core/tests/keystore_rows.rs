//! The write-back map: what each call promises, and a long random life against a model that is too simple to be wrong.
#![allow(missing_docs, reason = "a test binary")]

mod keystore_support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use conclave_core::error::Code;
use conclave_core::keystore::{Entity, Keystore, Rows, Savepoint};
use keystore_support::random::Random;
use keystore_support::{Folder, code, fill};

const TEAM: &[u8] = b"team";

fn set(rows: &Rows, key: &str, value: &str) {
    rows.put(Entity::Data, TEAM, key.as_bytes(), value.as_bytes().to_vec());
}

fn value(rows: &Rows, key: &str) -> Option<String> {
    let value = rows.get(Entity::Data, TEAM, key.as_bytes()).expect("readable")?;
    Some(String::from_utf8(value.to_vec()).expect("UTF-8"))
}

/// What is stored, whatever is pending: as a crash would leave it.
fn stored(folder: &Folder, rows: Keystore) -> Keystore {
    drop(rows);
    folder.open()
}

#[test]
fn a_savepoint_takes_back_what_came_after_it_and_no_more() {
    let keystore = Keystore::in_memory().expect("opens");
    let rows = keystore.rows();
    set(rows, "stored", "1");
    rows.flush().expect("a flush");
    set(rows, "pending", "1");
    let savepoint = rows.savepoint();
    assert_eq!(rows.writes_since(savepoint), 0);
    set(rows, "stored", "2");
    set(rows, "pending", "2");
    set(rows, "new", "2");
    rows.delete(Entity::Data, TEAM, b"new");
    assert_eq!(rows.writes_since(savepoint), 4);
    rows.rollback_to(savepoint);
    assert_eq!(
        ["stored", "pending", "new"].map(|key| value(rows, key)),
        [Some("1".into()), Some("1".into()), None]
    );
    assert_eq!(rows.writes_since(savepoint), 0);
    rows.delete(Entity::Data, TEAM, b"stored");
    rows.rollback_to(savepoint);
    assert_eq!(
        value(rows, "stored"),
        Some("1".into()),
        "a savepoint can be gone back to again"
    );
}

#[test]
fn the_last_key_is_known_whatever_is_pending() {
    let keystore = Keystore::in_memory().expect("opens");
    let rows = keystore.rows();
    let last = || rows.last_key(Entity::Data, TEAM).expect("readable");
    assert_eq!(last(), None);
    set(rows, "b", "1");
    assert_eq!(last().as_deref(), Some(&b"b"[..]));
    set(rows, "a", "1");
    rows.put(Entity::Data, b"family", b"z", Vec::new());
    rows.put(Entity::Tree, TEAM, b"z", Vec::new());
    rows.flush().expect("a flush");
    assert_eq!(last().as_deref(), Some(&b"b"[..]));
    set(rows, "c", "1");
    assert_eq!(last().as_deref(), Some(&b"c"[..]));
    rows.delete(Entity::Data, TEAM, b"c");
    assert_eq!(last().as_deref(), Some(&b"b"[..]));
    rows.delete(Entity::Data, TEAM, b"b");
    assert_eq!(last().as_deref(), Some(&b"a"[..]));
    assert!(rows.has(Entity::Data, TEAM, b"a").expect("readable"));
    assert!(!rows.has(Entity::Data, TEAM, b"b").expect("readable"));
}

#[test]
fn going_back_behind_a_flush_goes_back_to_the_flush() {
    let keystore = Keystore::in_memory().expect("opens");
    let rows = keystore.rows();
    let savepoint = rows.savepoint();
    set(rows, "a", "1");
    rows.flush().expect("a flush");
    set(rows, "a", "2");
    assert_eq!(rows.writes_since(savepoint), 2, "stored or not");
    rows.rollback_to(savepoint);
    assert_eq!(value(rows, "a"), Some("1".into()));
    assert!(!rows.is_dirty());
}

#[test]
fn flush_since_stores_its_rows_alone_and_for_good() {
    let folder = Folder::new();
    let keystore = folder.open();
    let rows = keystore.rows();
    let start = rows.savepoint();
    set(rows, "before", "1");
    let savepoint = rows.savepoint();
    set(rows, "private key", "1");
    rows.flush_since(savepoint).expect("a flush");
    assert_eq!(value(rows, "before"), Some("1".into()), "still pending");
    assert!(rows.is_dirty());
    rows.rollback_to(start);
    assert_eq!(value(rows, "before"), None);
    assert_eq!(value(rows, "private key"), Some("1".into()));

    let keystore = stored(&folder, keystore);
    assert_eq!(value(keystore.rows(), "before"), None);
    assert_eq!(value(keystore.rows(), "private key"), Some("1".into()));
}

#[test]
fn flush_since_takes_a_row_with_all_its_history() {
    let folder = Folder::new();
    let keystore = folder.open();
    let rows = keystore.rows();
    let start = rows.savepoint();
    set(rows, "row", "1");
    let middle = rows.savepoint();
    set(rows, "row", "2");
    set(rows, "other", "2");
    let late = rows.savepoint();
    set(rows, "row", "3");
    rows.flush_since(late).expect("a flush");
    // Neither 1 nor 2 can come back over what is stored.
    rows.rollback_to(middle);
    assert_eq!(["row", "other"].map(|key| value(rows, key)), [Some("3".into()), None]);
    rows.rollback_to(start);
    assert_eq!(value(rows, "row"), Some("3".into()));
    assert!(!rows.is_dirty());
    // What is written to it later is pending as anything else.
    set(rows, "row", "4");
    assert_eq!(value(rows, "row"), Some("4".into()));
    let keystore = stored(&folder, keystore);
    assert_eq!(value(keystore.rows(), "row"), Some("3".into()));
}

#[test]
fn flush_since_stores_deletions_and_leaves_out_what_was_taken_back() {
    let folder = Folder::new();
    let keystore = folder.open();
    let rows = keystore.rows();
    set(rows, "consumed", "1");
    rows.flush().expect("a flush");
    let savepoint = rows.savepoint();
    rows.delete(Entity::Data, TEAM, b"consumed");
    let inner = rows.savepoint();
    set(rows, "taken back", "1");
    rows.rollback_to(inner);
    rows.flush_since(savepoint).expect("a flush");
    assert!(!rows.is_dirty());
    let keystore = stored(&folder, keystore);
    assert_eq!(
        ["consumed", "taken back"].map(|key| value(keystore.rows(), key)),
        [None, None]
    );
}

#[test]
fn a_flush_that_fails_leaves_everything_pending() {
    let folder = Folder::new();
    let keystore = folder.open();
    let rows = keystore.rows();
    set(rows, "a", "1");
    let savepoint = rows.savepoint();
    set(rows, "b", "1");
    fs::rename(folder.database(), folder.path().join("elsewhere.db")).expect("renamed");
    assert_eq!(code(rows.flush()), Some(Code::DatabaseLost));
    assert_eq!(code(rows.flush_since(savepoint)), Some(Code::DatabaseLost));
    assert_eq!(
        ["a", "b"].map(|key| value(rows, key)),
        [Some("1".into()), Some("1".into())]
    );
    assert_eq!(rows.writes_since(savepoint), 1);
    rows.rollback_to(savepoint);
    assert_eq!(["a", "b"].map(|key| value(rows, key)), [Some("1".into()), None]);
}

#[test]
fn no_other_program_with_the_key_gets_in_and_so_none_keeps_the_log_from_being_emptied() {
    let folder = Folder::new();
    let keystore = folder.open();
    fill(&keystore);
    let other = folder.other_program();
    let refused = other
        .execute_batch("SELECT count(*) FROM rows")
        .expect_err("it cannot read");
    assert_eq!(refused.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy));
    for n in 0..70 {
        set(keystore.rows(), "counter", &n.to_string());
        keystore.rows().flush().expect("a flush");
    }
    keystore.rows().idle().expect("emptied");
    assert_eq!(folder.files()["alice.db-wal"].len(), 0);
}

#[test]
fn a_conversation_is_wiped_but_for_what_is_kept() {
    let keystore = Keystore::in_memory().expect("opens");
    let rows = keystore.rows();
    let scopes = [&b""[..], b"tea", TEAM, b"team\0", b"teams"];
    for scope in scopes {
        for &entity in Entity::ALL {
            rows.put(entity, scope, b"stored", b"x".to_vec());
        }
    }
    rows.flush().expect("a flush");
    for &entity in Entity::ALL {
        rows.put(entity, TEAM, b"pending", b"x".to_vec());
    }
    rows.delete_scope(TEAM, &[Entity::Conversation, Entity::Data])
        .expect("readable");
    for &entity in Entity::ALL {
        let kept = matches!(entity, Entity::Conversation | Entity::Data);
        assert_eq!(
            rows.list(entity, TEAM).expect("readable").len(),
            if kept { 2 } else { 0 },
            "{entity:?}"
        );
        assert_eq!(
            rows.list_all(entity).expect("readable").len(),
            if kept { 6 } else { 4 },
            "{entity:?}"
        );
    }
    assert_eq!(code(rows.delete_scope(b"", &[])), Some(Code::InternalError));
}

#[test]
fn rows_that_are_replaced_are_compared_with_what_they_are() {
    let keystore = Keystore::in_memory().expect("opens");
    let rows = keystore.rows();
    let replace = |values: [&str; 3]| {
        let before = rows.savepoint();
        let image = rows.image(Entity::Data, TEAM).expect("readable");
        let wanted = ["a", "b", "c"].into_iter().zip(values);
        rows.replace(image, wanted.map(|(key, value)| (key, value.as_bytes())), &[b"kept"]);
        rows.writes_since(before)
    };
    set(rows, "gone", "0");
    set(rows, "kept by its name", "0");
    assert_eq!(replace(["1", "1", "1"]), 4, "three are new, one goes");
    assert_eq!(value(rows, "kept by its name"), Some("0".into()));
    assert_eq!(replace(["1", "2", "1"]), 1);
    rows.flush().expect("a flush");
    assert_eq!(replace(["1", "2", "1"]), 0, "they are stored");
    let savepoint = rows.savepoint();
    assert_eq!(replace(["1", "2", "3"]), 1);
    rows.rollback_to(savepoint);
    assert_eq!(replace(["1", "2", "3"]), 1, "it was taken back");
    rows.discard();
    assert_eq!(replace(["1", "2", "3"]), 1, "it was given up");
    set(rows, "a", "4");
    assert_eq!(replace(["1", "2", "3"]), 1, "somebody else has changed it");
    rows.delete_scope(TEAM, &[]).expect("readable");
    assert_eq!(replace(["1", "2", "3"]), 3, "they were deleted");
}

#[test]
fn rows_of_every_size_and_any_bytes_come_back() {
    let folder = Folder::new();
    let keystore = folder.open();
    let sizes = [0, 1, 4000, 4096, 700_000, 5_000_000];
    for (n, size) in sizes.into_iter().enumerate() {
        let key: Vec<u8> = (0..=255).cycle().take(size.min(64 * 1024 - n)).collect();
        keystore.rows().put(Entity::Buffered, &key, &key, vec![0xa5; size]);
    }
    keystore.rows().flush().expect("a flush");
    let keystore = stored(&folder, keystore);
    let rows = keystore.rows().list_all(Entity::Buffered).expect("readable");
    let found: Vec<_> = rows.iter().map(|(_, _, value)| value.len()).collect();
    assert_eq!(BTreeSet::from_iter(found), BTreeSet::from_iter(sizes));
    assert!(
        rows.iter()
            .all(|(scope, key, value)| scope == key && value.iter().all(|byte| *byte == 0xa5))
    );
}

#[test]
fn entity_numbers_are_what_is_on_disk() {
    let numbers: BTreeSet<u8> = Entity::ALL.iter().map(|entity| *entity as u8).collect();
    assert_eq!(numbers.len(), Entity::ALL.len(), "no number twice");
    // Released numbers. A line here is never changed.
    assert_eq!(
        (
            Entity::JoinConfig as u8,
            Entity::MessageSecrets as u8,
            Entity::Psk as u8
        ),
        (1, 10, 18)
    );
    assert_eq!(
        (Entity::Meta as u8, Entity::StagedCommit as u8, Entity::Data as u8),
        (64, 68, 73)
    );
}

type Id = (Entity, Vec<u8>, Vec<u8>);

/// What is stored, and every write since; the truth is one replayed over the other.
#[derive(Default)]
struct Model {
    stored: BTreeMap<Id, Vec<u8>>,
    writes: Vec<Option<(Id, Option<Vec<u8>>)>>,
    /// Writes before those.
    settled: usize,
    savepoints: Vec<(usize, Savepoint)>,
}

impl Model {
    fn now(&self) -> BTreeMap<Id, Vec<u8>> {
        let mut now = self.stored.clone();
        for (id, change) in self.writes.iter().flatten() {
            match change {
                Some(value) => now.insert(id.clone(), value.clone()),
                None => now.remove(id),
            };
        }
        now
    }

    fn position(&self, savepoint: usize) -> usize {
        savepoint.saturating_sub(self.settled)
    }

    fn settle(&mut self) {
        self.settled += self.writes.len();
        self.writes.clear();
    }

    fn flush_since(&mut self, savepoint: usize) {
        let (now, position) = (self.now(), self.position(savepoint));
        let ids: BTreeSet<Id> = self.writes[position..]
            .iter()
            .flatten()
            .map(|(id, _)| id.clone())
            .collect();
        for id in &ids {
            match now.get(id) {
                Some(value) => self.stored.insert(id.clone(), value.clone()),
                None => self.stored.remove(id),
            };
        }
        for write in &mut self.writes {
            write.take_if(|(id, _)| ids.contains(id));
        }
    }
}

#[test]
fn any_life_of_a_keystore_is_that_of_the_model() {
    for seed in 0..20 {
        live(seed);
    }
}

fn live(seed: u64) {
    let folder = Folder::new();
    let mut keystore = folder.open();
    let mut model = Model::default();
    let mut random = Random::new(seed);
    for step in 0..250 {
        let at = format!("seed {seed}, step {step}");
        let rows = keystore.rows();
        let id = random_id(&mut random);
        match random.below(45) {
            0..16 => {
                let value = vec![random.below(256) as u8; random.below(3000) as usize];
                rows.put(id.0, &id.1, &id.2, value.clone());
                model.writes.push(Some((id.clone(), Some(value))));
            }
            16..21 => {
                rows.delete(id.0, &id.1, &id.2);
                model.writes.push(Some((id.clone(), None)));
            }
            21..27 => model
                .savepoints
                .push((model.settled + model.writes.len(), rows.savepoint())),
            27..31 => {
                let Some(n) = pick(&mut random, &model) else { continue };
                let (savepoint, real) = model.savepoints[n];
                rows.rollback_to(real);
                model.writes.truncate(model.position(savepoint));
                model.savepoints.truncate(n + 1); // later ones are void
            }
            31..34 => {
                let Some(n) = pick(&mut random, &model) else { continue };
                let (savepoint, real) = model.savepoints[n];
                rows.flush_since(real).expect("a flush");
                model.flush_since(savepoint);
            }
            34 | 35 => {
                rows.flush().expect("a flush");
                model.stored = model.now();
                model.settle();
            }
            36 => {
                rows.discard();
                model.settle();
            }
            37 if !id.1.is_empty() => {
                rows.delete_scope(&id.1, &[Entity::Tree]).expect("readable");
                let doomed = model
                    .now()
                    .into_keys()
                    .filter(|row| row.1 == id.1 && row.0 != Entity::Tree);
                model.writes.extend(doomed.map(|id| Some((id, None))));
            }
            38 => rows.idle().expect("emptied"),
            39..44 => {
                let kept: &[&[u8]] = if random.below(2) == 0 { &[] } else { &[b"a"] };
                let is_kept = |key: &[u8]| kept.iter().any(|prefix| key.starts_with(prefix));
                let mut wanted: BTreeMap<&[u8], Vec<u8>> = BTreeMap::new();
                for key in KEYS.into_iter().filter(|key| !is_kept(key)) {
                    if random.below(3) > 0 {
                        wanted.insert(key, vec![random.below(3) as u8; random.below(2) as usize * 10_000 + 1]);
                    }
                }
                if random.below(3) == 0 {
                    rows.list_with_image(id.0, &id.1).expect("readable");
                }
                let image = rows.image(id.0, &id.1).expect("readable");
                rows.replace(image, wanted.iter().map(|(key, value)| (*key, value.as_slice())), kept);
                let now = model.now();
                for key in KEYS.into_iter().filter(|key| !is_kept(key)) {
                    let row = (id.0, id.1.clone(), key.to_vec());
                    let value = wanted.get(key).cloned();
                    if value.as_ref() != now.get(&row) {
                        model.writes.push(Some((row, value)));
                    }
                }
            }
            _ => {
                keystore = stored(&folder, keystore);
                model = Model {
                    stored: model.stored,
                    ..Model::default()
                };
            }
        }
        compare(keystore.rows(), &model, &id, &at);
    }
}

/// What each read says, now.
fn compare(rows: &Rows, model: &Model, id: &Id, at: &str) {
    let now = model.now();
    let of = |entity| now.iter().filter(move |(row, _)| row.0 == entity);
    let read = rows.get(id.0, &id.1, &id.2).expect("readable");
    assert_eq!(read.as_deref(), now.get(id), "{at}");
    let list: Vec<_> = rows
        .list(id.0, &id.1)
        .expect("readable")
        .into_iter()
        .map(|(key, value)| (key, value.to_vec()))
        .collect();
    let expected = of(id.0)
        .filter(|(row, _)| row.1 == id.1)
        .map(|(row, value)| (row.2.clone(), value.clone()));
    assert_eq!(list, expected.collect::<Vec<_>>(), "{at}");
    let all = rows
        .list_all(id.0)
        .expect("readable")
        .into_iter()
        .map(|(scope, key, value)| (scope, key, value.to_vec()));
    let expected = of(id.0).map(|(row, value)| (row.1.clone(), row.2.clone(), value.clone()));
    assert_eq!(all.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{at}");
    assert_eq!(rows.is_dirty(), model.writes.iter().flatten().next().is_some(), "{at}");
    for (savepoint, real) in &model.savepoints {
        let writes = model.settled + model.writes.len() - savepoint;
        assert_eq!(rows.writes_since(*real), writes as u64, "{at}");
    }
}

const KEYS: [&[u8]; 5] = [b"", b"\0", b"a", b"aa", b"\xff"];

/// Few enough that they meet again, and close to each other in order.
fn random_id(random: &mut Random) -> Id {
    let entity = [Entity::Tree, Entity::Context, Entity::Data][random.below(3) as usize];
    let scope = [&b""[..], b"\0", b"team", b"team\0", b"tean"][random.below(5) as usize];
    let key = KEYS[random.below(5) as usize];
    (entity, scope.to_vec(), key.to_vec())
}

fn pick(random: &mut Random, model: &Model) -> Option<usize> {
    (!model.savepoints.is_empty()).then(|| random.below(model.savepoints.len() as u64) as usize)
}
