//! The message secrets of a group: the one value that every message changes, kept in many rows (`split.rs`).
//!
//! A value of an unknown shape is one row with the empty key, as all were once. Reading takes either.

use std::cell::Cell;

use serde::{Serialize, de::DeserializeOwned};

use super::Storage;
use super::place::{Epoch, Place, join};
use super::split::{Depth, split};
use crate::codec::{decode_of, encode};
use crate::error::{Error, Result};
use crate::keystore::Entity;

/// The key of a value in one row.
const WHOLE: [u8; 0] = [];
/// No row stays but those that are given.
const NOTHING: &[[u8; 0]] = &[];

/// Which secrets OpenMLS may change before it writes them all.
///
/// The others are not looked at, provided that they are stored. In memory they may differ all the same: to judge a message,
/// OpenMLS opens ratchets, and does not write them when it refuses it. What is stored then has the same keys, unopened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Changes {
    /// Any.
    #[default]
    All,
    /// Those of the present epoch, which may be a new one.
    Present,
    /// What an application message of the present epoch changes.
    Message,
    /// Those of this past epoch.
    Past(u64),
}

/// What the secrets that are about to be written may differ in.
#[derive(Default)]
pub(super) struct Expected(Cell<Changes>);

impl Changes {
    fn depth(self, epoch: Epoch) -> Depth {
        match (self, epoch) {
            (Changes::All, _) | (Changes::Present, Epoch::Present) => Depth::Full,
            (Changes::Message, Epoch::Present) => Depth::Message,
            (Changes::Past(changed), Epoch::Past(epoch)) if changed == epoch => Depth::Full,
            _ => Depth::Skip,
        }
    }
}

impl Storage {
    /// Does what changes no message secrets but these.
    pub(crate) fn changing<R>(&self, changes: Changes, work: impl FnOnce() -> R) -> R {
        /// Puts back what was expected before, also when the work panics.
        struct Before<'a>(&'a Cell<Changes>, Changes);
        impl Drop for Before<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        let _before = Before(&self.expected.0, self.expected.0.replace(changes));
        work()
    }

    /// Writes what has changed.
    pub(super) fn put_message_secrets(&self, scope: &[u8], secrets: &impl Serialize) -> Result<()> {
        #[cfg(test)]
        self.written.replace(encode(secrets)?);
        let rows = self.keystore.rows();
        let mut image = rows.image(Entity::MessageSecrets, scope)?;
        let changes = self.expected.0.get();
        let depth = |epoch| match image.has(&Place::beginning(epoch).key()) {
            true => changes.depth(epoch),
            false => Depth::Full,
        };
        let closer = |epoch| match depth(epoch) {
            Depth::Message => Depth::Full,
            depth => depth,
        };
        // An opened ratchet shows in what was there before and is no more; then nodes have changed as well.
        let split = match changes {
            Changes::Message => split(secrets, &depth).filter(|split| split.opened == image.note),
            _ => None,
        }
        .or_else(|| split(secrets, &closer));
        match split {
            Some(mut split) => {
                if !split.opened.is_empty() {
                    image.note = std::mem::take(&mut split.opened);
                }
                rows.replace(image, split.rows(), &split.kept);
            }
            None => {
                image.note.clear();
                rows.replace(image, std::iter::once((WHOLE, encode(secrets)?.as_slice())), NOTHING);
            }
        }
        Ok(())
    }

    pub(super) fn message_secrets_of<T: DeserializeOwned>(&self, scope: &[u8]) -> Result<Option<T>> {
        let rows = self.keystore.rows().list_with_image(Entity::MessageSecrets, scope)?;
        match rows.as_slice() {
            [] => Ok(None),
            [(key, whole)] if key.is_empty() => decode_of(scope, whole).map(Some),
            rows => {
                let whole = join(rows).ok_or_else(|| Error::damaged(scope))?;
                decode_of(scope, &whole).map(Some)
            }
        }
    }
}
