//! The rows that message secrets are cut into (`split.rs`): their keys, and how they become one value again.

use zeroize::Zeroizing;

use crate::codec::Secret;

/// How many entries of a vector share a row, at most. It is what missing rows stand for: never changed.
pub(super) const PAGE: u32 = 32;
/// How a missing entry is written: MessagePack's nil.
pub(super) const NONE: u8 = 0xc0;
/// How many entries without a row there are at most, in all vectors together: more than a group has
/// whose tree fits into the largest message. A row whose key says otherwise is damaged, and nothing
/// is allocated for it.
const MOST_MISSING: usize = 1 << 22;

/// The key of a row.
pub(super) type Key = [u8; 14];

/// Where in the value a row begins. Ordered as they are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// At its first byte.
    Head,
    /// In the secrets of an epoch, at an entry of a section.
    Row(Epoch, Section, u32),
}

/// The secrets of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Epoch {
    Past(u64),
    Present,
}

/// A vector of an epoch's secrets; what comes before the first one counts as one of a single entry. The numbers are in the keys
/// of rows: they are never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Section {
    Beginning = 0,
    LeafNodes = 1,
    ParentNodes = 2,
    HandshakeRatchets = 3,
    ApplicationRatchets = 4,
    /// The members of a past epoch, all in one row.
    Leaves = 5,
}

/// The value that was cut into these rows, which are in the order of their keys: what is in them, with nils for the pages that
/// have no row. None: these are no such rows.
pub(super) fn join(rows: &[(Vec<u8>, impl AsRef<[u8]>)]) -> Option<Secret> {
    let places: Vec<Place> = rows.iter().map(|(key, _)| Place::of(key)).collect::<Option<_>>()?;
    let mut before = None;
    let missing: Vec<usize> = places
        .iter()
        .map(|place| usize::try_from(place.missing_since(before.replace(*place))).ok())
        .collect::<Option<_>>()?;
    let nils = missing
        .iter()
        .try_fold(0_usize, |sum, missing| sum.checked_add(*missing))
        .filter(|nils| *nils <= MOST_MISSING)?;
    let length = rows.iter().map(|(_, row)| row.as_ref().len()).sum::<usize>() + nils;
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    for ((_, row), missing) in rows.iter().zip(missing) {
        bytes.extend(std::iter::repeat_n(NONE, missing));
        bytes.extend_from_slice(row.as_ref());
    }
    Some(bytes)
}

impl Place {
    /// Where the secrets of an epoch begin.
    pub(super) fn beginning(epoch: Epoch) -> Place {
        Place::Row(epoch, Section::Beginning, 0)
    }

    /// The key of the row that begins here. Keys are ordered as places are.
    pub(super) fn key(self) -> Key {
        let mut key = [0; 14];
        if let Place::Row(epoch, section, entry) = self {
            key[..9].copy_from_slice(&epoch.prefix());
            key[9] = section as u8;
            key[10..].copy_from_slice(&entry.to_be_bytes());
        }
        key
    }

    /// What the keys of all rows of its section begin with.
    pub(super) fn section_prefix(self) -> Vec<u8> {
        self.key()[..10].to_vec()
    }

    /// The place with this key.
    pub(super) fn of(key: &[u8]) -> Option<Place> {
        let key = Key::try_from(key).ok()?;
        let (kind, number, section, entry) = (key[0], &key[1..9], key[9], &key[10..]);
        let number = u64::from_be_bytes(number.try_into().ok()?);
        let epoch = match kind {
            0 => return Some(Place::Head),
            1 => Epoch::Past(number),
            2 => Epoch::Present,
            _ => return None,
        };
        let section = Section::ALL.into_iter().find(|known| *known as u8 == section)?;
        let place = Place::Row(epoch, section, u32::from_be_bytes(entry.try_into().ok()?));
        (place.key() == key).then_some(place)
    }

    /// How many entries without a row there are between the row that begins here and the one before.
    fn missing_since(self, before: Option<Place>) -> u32 {
        let Place::Row(epoch, section, entry) = self else {
            return 0;
        };
        let covered = match before {
            Some(Place::Row(e, s, begun)) if (e, s) == (epoch, section) => (begun / PAGE + 1).saturating_mul(PAGE),
            _ => 0,
        };
        entry.saturating_sub(covered)
    }
}

impl Epoch {
    /// What the keys of its rows begin with.
    pub(super) fn prefix(self) -> [u8; 9] {
        let (kind, number) = match self {
            Epoch::Past(number) => (1, number),
            Epoch::Present => (2, 0),
        };
        let mut prefix = [kind; 9];
        prefix[1..].copy_from_slice(&number.to_be_bytes());
        prefix
    }
}

impl Section {
    const ALL: [Section; 6] = [
        Section::Beginning,
        Section::LeafNodes,
        Section::ParentNodes,
        Section::HandshakeRatchets,
        Section::ApplicationRatchets,
        Section::Leaves,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: Epoch, section: Section, entry: u32) -> (Vec<u8>, Vec<u8>) {
        (Place::Row(epoch, section, entry).key().to_vec(), vec![NONE])
    }

    #[test]
    fn a_false_key_allocates_nothing() {
        for entry in [u32::MAX, 1 << 31, 1 << 23] {
            let rows = [
                row(Epoch::Present, Section::Beginning, 0),
                row(Epoch::Present, Section::LeafNodes, entry),
            ];
            assert!(join(&rows).is_none(), "{entry}");
        }
        // Nor do many of them, none of which is too far out by itself.
        let many: Vec<_> = (0..200)
            .map(|epoch| row(Epoch::Past(epoch), Section::LeafNodes, 1 << 20))
            .collect();
        assert!(join(&many).is_none());
        let far = [
            row(Epoch::Present, Section::Beginning, 0),
            row(Epoch::Present, Section::LeafNodes, 1 << 20),
        ];
        assert_eq!(join(&far).expect("a large group").len(), 2 + (1 << 20));
    }
}
