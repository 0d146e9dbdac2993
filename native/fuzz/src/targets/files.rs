//! Damaged files of a keystore, opened and read with the right key.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use conclave_core::conversation::commit::Request;
use conclave_core::keystore::{DatabaseKey, Entity, Keystore};
use conclave_core::session::Session;

use crate::choices::{Choices, change};
use crate::clients::{Client, TEAM, note, noted};
use crate::meter::metered;
use crate::outcomes::count;

pub const REACHES: &[&str] = &[
    "open ok",
    "error DATABASE_KEY_WRONG",
    "error DATABASE_CORRUPT",
    "encrypt ok",
];

/// SQLCipher's.
const PAGE: usize = 4096;
const DATABASE: &str = "alice.db";

/// Files by their names.
type Files = BTreeMap<String, Vec<u8>>;

/// The files of a client: as they are after it has ended well, and as a kill leaves them, with a log.
struct World {
    folder: PathBuf,
    closed: Files,
    killed: Files,
    /// The database as it was some commits ago.
    older: Vec<u8>,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

pub fn run(bytes: &[u8]) {
    let mut choices = Choices::of(bytes);
    let world = WORLD.take().unwrap_or_else(World::new);
    let mut files = match choices.flag() {
        true => world.killed.clone(),
        false => world.closed.clone(),
    };
    let names: Vec<String> = files.keys().cloned().collect();
    let name = match choices.flag() {
        true => DATABASE,
        false => choices.one_of(&names).as_str(),
    };
    if let Some(file) = files.get_mut(name) {
        let what = choices.below(8);
        count(format!("{name} damaged in way {what}"));
        match what {
            0 => drop(files.remove(name)),
            1 => file.truncate(choices.below(file.len() / 512 + 1) * 512),
            2 => copy_page(file, &world.older, &mut choices),
            3 => {
                let itself = file.clone();
                copy_page(file, &itself, &mut choices);
            }
            4 => {
                let rest = file.split_off(file.len().min(100));
                change(file, &[], &mut choices);
                file.extend_from_slice(&rest);
            }
            _ => change(file, std::slice::from_ref(&world.older), &mut choices),
        }
    }
    empty(&world.folder);
    for (name, file) in &files {
        fs::write(world.folder.join(name), file).expect("there is room");
    }
    let size = files.values().map(Vec::len).sum();
    metered(size, || {
        if let Some(keystore) = noted("open", Keystore::open(world.folder.join(DATABASE), &key())) {
            use_it(keystore);
        }
    });
    WORLD.set(Some(world));
}

fn use_it(keystore: Keystore) {
    for &entity in Entity::ALL {
        match keystore.rows().list_all(entity) {
            Ok(_) => count("list ok"),
            Err(error) => note(&error),
        }
    }
    let mut session = Session::new(keystore);
    noted("bind", session.bind(b"alice"));
    noted("conversations", session.conversations());
    let sent = session.step(|session| session.encrypt(TEAM, b"hello", b""));
    noted("encrypt", sent);
    noted("store", session.store());
    let staged = session.step(|session| session.stage_commit(TEAM, Request::update()));
    noted("commit", staged);
    noted("store", session.store());
    noted("close", session.close());
}

fn copy_page(to: &mut [u8], from: &[u8], choices: &mut Choices<'_>) {
    let source = choices.below(from.len() / PAGE) * PAGE;
    let target = choices.below(to.len() / PAGE) * PAGE;
    if let (Some(to), Some(from)) = (to.get_mut(target..target + PAGE), from.get(source..source + PAGE)) {
        to.copy_from_slice(from);
    }
}

fn key() -> DatabaseKey {
    DatabaseKey::try_from(&[7; 32][..]).expect("32 bytes")
}

fn empty(folder: &Path) {
    for file in fs::read_dir(folder).expect("the folder was made") {
        let path = file.expect("it can be listed").path();
        let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
    }
}

/// What a copy of the folder has: not the index of the log, which SQLite makes anew.
fn read(folder: &Path) -> Files {
    let files = fs::read_dir(folder).expect("the folder was made");
    let names = files.map(|file| file.expect("it can be listed").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| !name.ends_with("-shm"))
        .map(|name| {
            let file = fs::read(folder.join(&name)).expect("it is there");
            (name, file)
        })
        .collect()
}

impl World {
    fn new() -> World {
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => memory.to_owned(),
            false => std::env::temp_dir(),
        };
        let folder = folder.join(format!("conclave-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder can be made");
        empty(&folder);
        let open = || Keystore::open(folder.join(DATABASE), &key()).expect("it can be opened");
        let mut alice = Client::over("alice", open());
        let mut bob = Client::of("bob");
        alice.found(vec![bob.invitee()]);
        alice.session.close().expect("it can be closed");
        let older = fs::read(folder.join(DATABASE)).expect("it is there");

        let mut alice = Session::new(open());
        alice.bind(b"alice").expect("it is hers");
        for _ in 0..3 {
            let sent = alice.step(|session| session.encrypt(TEAM, b"hello", b""));
            sent.expect("it can be sent");
            alice.store().expect("there is room");
        }
        let killed = read(&folder);
        alice.close().expect("it can be closed");
        World {
            closed: read(&folder),
            killed,
            folder,
            older,
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
