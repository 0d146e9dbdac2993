//! A bounded memory in the keystore: the newest entries of a kind, of one size each.
//!
//! One row takes the entries as they come. When it is full it becomes a page, and the oldest page
//! goes: so a ring costs the same for each entry, whatever its age, and is never pruned in one go.
//! It is read newest first.

use crate::error::{Error, Result};
use crate::keystore::{Entity, Value};
use crate::provider::Provider;

/// How many entries a page has.
const PAGE: usize = 32;
/// What the key of the row ends with that takes the entries. Its value begins with the number of
/// the page that it becomes.
const HEAD: &[u8] = b"head";

/// Which ring of a conversation.
pub(crate) struct Ring {
    /// The kind of its rows.
    pub(crate) entity: Entity,
    /// What the keys of its rows begin with, where the kind has several rings; of one length for
    /// all of these.
    pub(crate) name: &'static [u8],
    /// The size of an entry, in bytes.
    pub(crate) entry: usize,
    /// How many entries are kept, at least. Up to a page more may be there.
    pub(crate) most: usize,
}

/// Fails with `CONVERSATION_CORRUPT` unless all rows of this kind are those of these rings.
pub(crate) fn are_sound(rings: &[&Ring], entity: Entity, provider: &Provider, scope: &[u8]) -> Result<()> {
    let rows = provider.rows().list(entity, scope)?;
    let is_sound = |(key, value): &(Vec<u8>, Value)| rings.iter().find_map(|ring| ring.is_sound(key, value));
    if rows.iter().all(|row| is_sound(row) == Some(true)) {
        return Ok(());
    }
    Err(Error::damaged(scope))
}

impl Ring {
    /// Remembers an entry.
    pub(crate) fn push(&self, provider: &Provider, scope: &[u8], entry: &[u8]) -> Result<()> {
        let rows = provider.rows();
        let (mut number, mut entries) = self.head(provider, scope)?.unwrap_or_default();
        entries.extend_from_slice(entry);
        if entries.len() >= PAGE * self.entry {
            rows.put(self.entity, scope, &self.key(number), std::mem::take(&mut entries));
            if let Some(oldest) = number.checked_sub(self.pages()) {
                rows.delete(self.entity, scope, &self.key(oldest));
            }
            number = number.checked_add(1).ok_or_else(|| Error::damaged(scope))?;
        }
        let head = [&number.to_be_bytes()[..], &entries].concat();
        rows.put(self.entity, scope, &self.head_key(), head);
        Ok(())
    }

    /// What `read` answers for the newest entry for which it answers anything.
    pub(crate) fn find<T>(
        &self,
        provider: &Provider,
        scope: &[u8],
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some((number, entries)) = self.head(provider, scope)? else {
            return Ok(None);
        };
        let newest = |entries: &[u8]| entries.chunks_exact(self.entry).rev().find_map(&read);
        if let Some(found) = newest(&entries) {
            return Ok(Some(found));
        }
        for number in (number.saturating_sub(self.pages())..number).rev() {
            let Some(page) = provider.rows().get(self.entity, scope, &self.key(number))? else {
                break;
            };
            if let Some(found) = newest(&page) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether this is the key of a row of this ring, with a value that can be one; `None`: it is
    /// another one's.
    fn is_sound(&self, key: &[u8], value: &[u8]) -> Option<bool> {
        let rest = key.strip_prefix(self.name)?;
        Some(if rest == HEAD {
            value.len() >= 8 && (value.len() - 8).is_multiple_of(self.entry)
        } else {
            rest.len() == 8 && value.len() == PAGE * self.entry
        })
    }

    /// The number of the page that is filled, and what is in it.
    fn head(&self, provider: &Provider, scope: &[u8]) -> Result<Option<(u64, Vec<u8>)>> {
        let Some(head) = provider.rows().get(self.entity, scope, &self.head_key())? else {
            return Ok(None);
        };
        match head.split_first_chunk() {
            Some((number, entries)) if entries.len() % self.entry == 0 => {
                Ok(Some((u64::from_be_bytes(*number), entries.to_vec())))
            }
            _ => Err(Error::damaged(scope)),
        }
    }

    fn pages(&self) -> u64 {
        (self.most.div_ceil(PAGE)) as u64
    }

    fn key(&self, number: u64) -> Vec<u8> {
        [self.name, &number.to_be_bytes()].concat()
    }

    fn head_key(&self) -> Vec<u8> {
        [self.name, HEAD].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::keystore::Keystore;

    const RING: Ring = Ring {
        entity: Entity::Seen,
        name: b"",
        entry: 4,
        most: 100,
    };

    fn has(provider: &Provider, number: u32) -> bool {
        let read = |entry: &[u8]| (*entry == number.to_be_bytes()).then_some(());
        let found = RING.find(provider, b"team", read);
        found.expect("it can be read").is_some()
    }

    #[test]
    fn a_ring_keeps_the_newest_and_grows_no_further() {
        let provider = Provider::new(Keystore::in_memory().expect("memory is there"));
        let mut most = 0;
        for number in 0..2000_u32 {
            RING.push(&provider, b"team", &number.to_be_bytes())
                .expect("it can be kept");
            let oldest = (number + 1).saturating_sub(100);
            assert!(has(&provider, number) && has(&provider, oldest), "{number}");
            let rows = provider.rows().keys(Entity::Seen, b"team").expect("they can be listed");
            most = most.max(rows.len());
        }
        assert_eq!(most, 5, "four pages and the one that is filled");
        assert!(!has(&provider, 1000));
        are_sound(&[&RING], Entity::Seen, &provider, b"team").expect("it is as it should be");
    }

    #[test]
    fn what_is_no_ring_is_the_trouble_of_its_conversation() {
        let provider = Provider::new(Keystore::in_memory().expect("memory is there"));
        for head in [&b""[..], b"short", &[0xff; 8], &[0; 9]] {
            provider.rows().put(Entity::Seen, b"team", HEAD, head.to_vec());
            let pushed = (0..40).try_for_each(|_| RING.push(&provider, b"team", &[0; 4]));
            assert_eq!(
                pushed.map_err(|error| error.code()),
                Err(Code::ConversationCorrupt),
                "{head:?}"
            );
        }
        for key in [&b"else"[..], &[0xff; 1 << 20]] {
            provider.rows().put(Entity::Seen, b"team", key, Vec::new());
            assert!(are_sound(&[&RING], Entity::Seen, &provider, b"team").is_err());
        }
    }
}
