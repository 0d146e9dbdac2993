//! The message secrets of a group, cut into rows and joined again, and rows that nobody has cut.

use std::cell::RefCell;

use conclave_core::fuzzing::{MessageSecrets as Stored, Scope, join};
use serde::{Deserialize, Serialize};

use crate::choices::Choices;
use crate::clients::note;
use crate::meter::metered;
use crate::outcomes::count;

pub const REACHES: &[&str] = &["cut", "message", "another shape", "joined", "no rows of one"];

/// The names and fields that OpenMLS' values have, with contents that can be chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct MessageSecretsStore {
    max_epochs: usize,
    past_epoch_trees: Vec<EpochTree>,
    message_secrets: MessageSecrets,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct EpochTree {
    epoch: u64,
    message_secrets: MessageSecrets,
    leaves: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct MessageSecrets {
    sender_data_secret: u32,
    secret_tree: SecretTree,
    serialized_context: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SecretTree {
    own_index: u32,
    leaf_nodes: Vec<Option<Vec<u8>>>,
    parent_nodes: Vec<Option<Vec<u8>>>,
    handshake_sender_ratchets: Vec<Option<Vec<u8>>>,
    application_sender_ratchets: Vec<Option<Vec<u8>>>,
    size: u32,
}

thread_local! {
    static STORED: RefCell<Option<Stored>> = const { RefCell::new(None) };
}

pub fn run(bytes: &[u8]) {
    let mut choices = Choices::of(bytes);
    if choices.below(4) == 3 {
        return rows_of_nobody(&mut choices);
    }
    let stored = STORED.take().unwrap_or_else(|| Stored::new().expect("memory is there"));
    let mut value = MessageSecretsStore::chosen(&mut choices);
    stored.write(&value, Scope::All).expect("it can be written");
    is_as_written(&stored, &value);
    for _ in 0..choices.below(4) {
        let scope = value.change(&mut choices);
        stored.write(&value, scope).expect("it can be written");
        is_as_written(&stored, &value);
    }
    if choices.flag() {
        damage(&stored, &mut choices);
    }
    stored.clear();
    STORED.set(Some(stored));
}

fn is_as_written(stored: &Stored, value: &MessageSecretsStore) {
    let rows: Vec<(Vec<u8>, Vec<u8>)> = plain(stored.rows().expect("memory can be read"));
    assert!(rows.is_sorted_by(|(one, _), (next, _)| one < next), "rows out of order");
    let plain = Stored::encoded(value).expect("it can be encoded");
    if rows.len() == 1 && rows[0].0.is_empty() {
        assert!(rows[0].1 == *plain, "the value in one row is another one");
        return count("another shape");
    }
    let joined = join(&rows).expect("they are rows of one value");
    assert!(
        joined == plain,
        "{} bytes joined, {} written",
        joined.len(),
        plain.len()
    );
    count("cut");
}

fn plain(rows: Vec<(Vec<u8>, impl AsRef<[u8]>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    rows.into_iter()
        .map(|(key, row)| (key, row.as_ref().to_vec()))
        .collect()
}

/// A row is damaged: the value is read, or it is told that it cannot be.
fn damage(stored: &Stored, choices: &mut Choices<'_>) {
    let rows = plain(stored.rows().expect("memory can be read"));
    let (mut key, mut row) = choices.one_of(&rows).clone();
    let size = rows.iter().map(|(_, row)| row.len()).sum();
    match choices.flag() {
        true => crate::choices::change(&mut key, &[], choices),
        false => crate::choices::change(&mut row, &[], choices),
    }
    stored.put(&key, &row);
    match metered(size, || stored.read::<MessageSecretsStore>()) {
        Ok(_) => count("damaged and read"),
        Err(error) => note(&error),
    }
}

fn rows_of_nobody(choices: &mut Choices<'_>) {
    let mut rows = Vec::new();
    for _ in 0..choices.below(6) {
        let mut key = [0; 14];
        key[0] = choices.byte() % 3;
        key[8] = choices.byte() % 4;
        key[9] = choices.byte() % 6;
        for (byte, chosen) in key[10 + choices.below(4)..].iter_mut().zip(choices.take(4)) {
            *byte = *chosen;
        }
        if choices.below(8) == 0 {
            key[choices.below(14)] = choices.byte();
        }
        let count = choices.below(24);
        rows.push((key.to_vec(), choices.take(count).to_vec()));
    }
    rows.sort();
    let size = rows.iter().map(|(key, row)| key.len() + row.len()).sum();
    match metered(size, || join(&rows)) {
        Some(_) => count("joined"),
        None => count("no rows of one"),
    }
}

impl MessageSecretsStore {
    fn chosen(choices: &mut Choices<'_>) -> Self {
        let mut epoch = u64::from(choices.byte());
        let past = (0..choices.below(4)).map(|_| {
            // Now and then they are not in order, as they never are.
            epoch = epoch.wrapping_add(u64::from(choices.byte() % 32)).wrapping_sub(1);
            EpochTree {
                epoch,
                message_secrets: MessageSecrets::chosen(choices),
                leaves: vec![7; choices.below(3)],
            }
        });
        MessageSecretsStore {
            max_epochs: 5,
            past_epoch_trees: past.collect(),
            message_secrets: MessageSecrets::chosen(choices),
        }
    }

    /// Changes what OpenMLS changes at once, and answers what that is.
    fn change(&mut self, choices: &mut Choices<'_>) -> Scope {
        match choices.below(6) {
            0 => {
                *self = MessageSecretsStore::chosen(choices);
                Scope::All
            }
            1 => {
                self.message_secrets = MessageSecrets::chosen(choices);
                Scope::Present
            }
            2 if !self.past_epoch_trees.is_empty() => {
                let at = choices.below(self.past_epoch_trees.len());
                let past = &mut self.past_epoch_trees[at];
                past.message_secrets.secret_tree.send(choices);
                Scope::Past(past.epoch)
            }
            _ => {
                count("message");
                self.message_secrets.secret_tree.send(choices);
                Scope::Message
            }
        }
    }
}

impl MessageSecrets {
    fn chosen(choices: &mut Choices<'_>) -> Self {
        let members = match choices.below(4) {
            0 => choices.below(200),
            _ => choices.below(70),
        };
        MessageSecrets {
            sender_data_secret: choices.byte().into(),
            secret_tree: SecretTree {
                own_index: 0,
                leaf_nodes: entries(members, choices),
                parent_nodes: entries(members.saturating_sub(1), choices),
                handshake_sender_ratchets: entries(members, choices),
                application_sender_ratchets: entries(members, choices),
                size: 3,
            },
            serialized_context: vec![1; choices.below(8)],
        }
    }
}

impl SecretTree {
    /// A sender's ratchet opens or moves. What opens it consumes nodes, and starts its handshake ratchet.
    fn send(&mut self, choices: &mut Choices<'_>) {
        let size = self.application_sender_ratchets.len();
        let at = choices.below(size);
        let Some(ratchet) = self.application_sender_ratchets.get_mut(at) else {
            return;
        };
        let is_new = ratchet.is_none();
        *ratchet = Some(entry(choices));
        // Both ratchets of a sender open at once. What is there keeps its secret.
        if is_new && self.handshake_sender_ratchets[at].is_none() {
            self.leaf_nodes[at] = None;
            self.handshake_sender_ratchets[at] = Some(entry(choices));
            if let Some(parent) = self.parent_nodes.get_mut(at / 2) {
                *parent = None;
            }
            if let Some(leaf) = self.leaf_nodes.get_mut(at ^ 1)
                && leaf.is_none()
            {
                *leaf = Some(entry(choices));
            }
        }
    }
}

/// Mostly nothing, as in OpenMLS' trees.
fn entries(count: usize, choices: &mut Choices<'_>) -> Vec<Option<Vec<u8>>> {
    let mut entries = vec![None; count];
    for _ in 0..choices.below(5) {
        let at = choices.below(count);
        if let Some(place) = entries.get_mut(at) {
            *place = Some(entry(choices));
        }
    }
    entries
}

fn entry(choices: &mut Choices<'_>) -> Vec<u8> {
    let length = match choices.below(8) {
        0 => 900 + choices.below(400),
        _ => choices.below(40),
    };
    vec![choices.byte(); length]
}
