//! What the rows of one kind and conversation are, kept in memory for a writer that replaces all of them when few have changed.
//!
//! An image is what reads would find. Whatever else changes one of its rows, takes it back or gives it up drops the whole image
//! (`pending.rs`): so it can be missing, which costs a read, but never wrong.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::Entity;
use super::pending::Change;
use super::table::Value;

/// How many images are kept. In a group of 1,000 members with fifty who write, one takes about 200 KB.
const CAPACITY: usize = 128;
/// Of a longer value only its SHA-256 is kept, in bytes.
const LONG: usize = 8192;

/// All rows of one kind and conversation, as they are at one moment.
pub struct Image {
    pub(super) entity: Entity,
    pub(super) scope: Vec<u8>,
    /// In the order of the keys.
    rows: Vec<(Vec<u8>, Seen)>,
    /// What their writer wants to remember about them, for as long as they are known.
    pub note: Vec<bool>,
}

/// A value as it is remembered.
enum Seen {
    Whole(Value),
    Hash([u8; 32]),
}

impl Image {
    /// The image of these rows, which are in the order of their keys.
    pub(super) fn of(entity: Entity, scope: &[u8], rows: &[(Vec<u8>, Value)]) -> Self {
        Image {
            entity,
            scope: scope.to_vec(),
            rows: rows.iter().map(|(key, value)| (key.clone(), Seen::of(value))).collect(),
            note: Vec::new(),
        }
    }

    /// Whether there is a row with this key.
    pub fn has(&self, key: &[u8]) -> bool {
        self.rows.binary_search_by(|(seen, _)| seen.as_slice().cmp(key)).is_ok()
    }

    /// Makes the rows these, which are in the order of their keys, and lets those stay whose keys begin with one of `kept`.
    /// `write` is told what has to change for it.
    pub(super) fn replace<'v>(
        &mut self,
        rows: impl Iterator<Item = (impl AsRef<[u8]>, &'v [u8])>,
        kept: &[impl AsRef<[u8]>],
        mut write: impl FnMut(&[u8], Change),
    ) {
        let mut place = 0;
        for (key, value) in rows {
            let key = key.as_ref();
            place = self.leave_out(place, Some(key), kept, &mut write);
            match self.rows.get_mut(place) {
                Some((seen, known)) if seen == key => {
                    if !known.is(value) {
                        write(key, Some(Value::new(value.to_vec())));
                        *known = Seen::of(value);
                    }
                }
                _ => {
                    write(key, Some(Value::new(value.to_vec())));
                    self.rows.insert(place, (key.to_vec(), Seen::of(value)));
                }
            }
            place += 1;
        }
        self.leave_out(place, None, kept, &mut write);
    }

    /// Deletes the rows from this place on up to the next key, but for those that are kept. Answers the place of that key.
    fn leave_out(
        &mut self,
        mut place: usize,
        next: Option<&[u8]>,
        kept: &[impl AsRef<[u8]>],
        write: &mut impl FnMut(&[u8], Change),
    ) -> usize {
        while let Some((key, _)) = self.rows.get(place)
            && next.is_none_or(|next| key.as_slice() < next)
        {
            match kept.iter().find(|prefix| key.starts_with(prefix.as_ref())) {
                Some(prefix) => {
                    place += self.rows[place..].partition_point(|(key, _)| key.starts_with(prefix.as_ref()))
                }
                None => write(&self.rows.remove(place).0, None),
            }
        }
        place
    }
}

impl Seen {
    fn of(value: &[u8]) -> Self {
        if value.len() > LONG {
            Seen::Hash(Sha256::digest(value).into())
        } else {
            Seen::Whole(Value::new(value.to_vec()))
        }
    }

    fn is(&self, value: &[u8]) -> bool {
        match self {
            Seen::Whole(seen) => seen.as_slice() == value,
            Seen::Hash(seen) => value.len() > LONG && *seen == *Sha256::digest(value),
        }
    }
}

/// The images that were used last.
#[derive(Default)]
pub(super) struct Images {
    kept: HashMap<(Entity, Vec<u8>), (u64, Image)>,
    clock: u64,
}

impl Images {
    /// Takes an image out, for whoever now changes its rows.
    pub(super) fn take(&mut self, entity: Entity, scope: &[u8]) -> Option<Image> {
        self.kept.remove(&(entity, scope.to_vec())).map(|(_, image)| image)
    }

    /// Keeps an image of rows as they are now. The one that was used longest ago makes way.
    pub(super) fn keep(&mut self, image: Image) {
        if self.kept.len() >= CAPACITY {
            let oldest = self.kept.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                self.kept.remove(&oldest);
            }
        }
        self.clock += 1;
        let id = (image.entity, image.scope.clone());
        self.kept.insert(id, (self.clock, image));
    }

    /// A row has changed, or is not what it was: what is known of its kind in its conversation is worth nothing.
    pub(super) fn forget(&mut self, entity: Entity, scope: &[u8]) {
        self.take(entity, scope);
    }
}
