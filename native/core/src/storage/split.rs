//! Cuts the message secrets of a group into rows, so that a message rewrites one or two of them.
//!
//! OpenMLS hands over one value, of which a message changes a few hundred bytes:
//!
//! ```text
//! MessageSecretsStore { max_epochs, past_epoch_trees, message_secrets }
//!   EpochTree { epoch, message_secrets, leaves }                               one for each past epoch
//!     MessageSecrets { .., secret_tree, .. }                                   of past epochs and of the present one
//!       SecretTree { .., leaf_nodes, parent_nodes, handshake_.., application_sender_ratchets, .. }
//! ```
//!
//! The four vectors of a secret tree have an entry for each member, most of them `None`. A row begins at every entry whose
//! number is a multiple of [`PAGE`], and earlier when the one before is [`LONG`]. A page of nothing but `None` has no row,
//! unless it is the last one. What stands between two vectors belongs to the last row before it. So the rows, in the order of
//! their keys and with `None` for the missing pages, are byte for byte the value as `codec.rs` writes it (`place.rs`, `join`).
//!
//! Nothing here knows more of OpenMLS than these names. A value of another shape is not cut.

use std::fmt::{self, Display};
use std::ops::Range;

use serde::Serialize;
use serde::ser::{self, Impossible, SerializeSeq, SerializeStruct};
use zeroize::Zeroizing;

use super::place::{Epoch, Key, NONE, PAGE, Place, Section};
use crate::codec::{self, Secret};

/// A row with this many bytes takes no further entry: that of a busy sender remembers a thousand messages.
const LONG: usize = 1024;

/// A value in rows.
pub(super) struct Split {
    bytes: Secret,
    rows: Vec<(Place, Range<usize>)>,
    kept: Vec<Epoch>,
}

impl Split {
    /// The rows, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Key, &[u8])> {
        self.rows
            .iter()
            .map(|(place, range)| (place.key(), &self.bytes[range.clone()]))
    }

    /// What the keys of rows begin with that are none of these, and yet stay: those of epochs that were not looked at.
    pub(super) fn kept(&self) -> Vec<[u8; 9]> {
        self.kept.iter().map(|epoch| epoch.prefix()).collect()
    }
}

/// Cuts the value; the secrets of an epoch that is to be kept are not looked at. None: it is not of the known shape.
pub(super) fn split(value: &impl Serialize, keep: &dyn Fn(Epoch) -> bool) -> Option<Split> {
    let mut cutter = Cutter {
        bytes: Zeroizing::new(Vec::with_capacity(8192)),
        rows: Vec::new(),
        open: None,
        last: None,
        keep,
        kept: Vec::new(),
    };
    cutter.begin(Place::Head, 0).ok()?;
    value.serialize(Part(&mut cutter, At::Store)).ok()?;
    cutter.end(cutter.bytes.len());
    let Cutter { bytes, rows, kept, .. } = cutter;
    Some(Split { bytes, rows, kept })
}

/// Writes the value, and notes where rows begin.
struct Cutter<'a> {
    bytes: Secret,
    rows: Vec<(Place, Range<usize>)>,
    open: Option<Open>,
    /// The place that was begun or kept last.
    last: Option<Place>,
    keep: &'a dyn Fn(Epoch) -> bool,
    kept: Vec<Epoch>,
}

/// The row that is being written.
struct Open {
    place: Place,
    start: usize,
    /// A page of nothing but `None` so far.
    blank: bool,
}

impl Cutter<'_> {
    /// A row begins at this byte.
    fn begin(&mut self, place: Place, start: usize) -> Result<(), Unknown> {
        self.end(start);
        self.pass(place)?;
        let blank = matches!(place, Place::Row(_, _, entry) if entry % PAGE == 0);
        self.open = Some(Open { place, start, blank });
        Ok(())
    }

    /// The row ends before this byte.
    fn end(&mut self, end: usize) {
        if let Some(Open { place, start, blank }) = self.open.take()
            && !blank
        {
            self.rows.push((place, start..end));
        }
    }

    /// The secrets of this epoch are neither written nor looked at.
    fn skip(&mut self, epoch: Epoch, start: usize) -> Result<(), Unknown> {
        self.end(start);
        self.bytes.truncate(start);
        self.kept.push(epoch);
        self.pass(Place::beginning(epoch))
    }

    /// Places must come in order, or the rows could not be joined.
    fn pass(&mut self, place: Place) -> Result<(), Unknown> {
        if self.last.is_some_and(|last| last >= place) {
            return Err(Unknown);
        }
        self.last = Some(place);
        Ok(())
    }

    /// The row is more than a blank page. There must be one.
    fn fill(&mut self) -> Result<(), Unknown> {
        self.open.as_mut().ok_or(Unknown)?.blank = false;
        Ok(())
    }

    fn write(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Unknown> {
        self.fill()?;
        self.append(value)
    }

    fn append(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Unknown> {
        codec::append(&mut self.bytes, value).map_err(|_| Unknown)
    }
}

/// A part of the value that is to be written, and what it should be.
struct Part<'c, 'a>(&'c mut Cutter<'a>, At);

#[derive(Clone, Copy, PartialEq)]
enum At {
    Store,
    PastEpochs,
    PastEpoch,
    Secrets(Epoch),
    Tree(Epoch),
    Entries(Epoch, Section),
    Entry,
}

/// The fields of a struct.
struct Fields<'c, 'a> {
    cutter: &'c mut Cutter<'a>,
    at: At,
    start: usize,
    /// Which past epoch this is, once its number is known.
    past: Option<u64>,
}

impl SerializeStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = Unknown;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unknown> {
        let cutter = &mut *self.cutter;
        let here = cutter.bytes.len();
        let inner = match (self.at, name) {
            (At::PastEpoch, _) if self.past.is_none() => return self.serialize_epoch(name, value),
            (At::PastEpoch, _) if cutter.open.is_none() => return Ok(()), // it is kept
            (At::Store, "message_secrets") if (cutter.keep)(Epoch::Present) => {
                return cutter.skip(Epoch::Present, here);
            }
            (At::Store, "message_secrets") => {
                cutter.begin(Place::beginning(Epoch::Present), here)?;
                Some(At::Secrets(Epoch::Present))
            }
            (At::Store, "past_epoch_trees") => Some(At::PastEpochs),
            (At::PastEpoch, "message_secrets") => self.past.map(|epoch| At::Secrets(Epoch::Past(epoch))),
            (At::PastEpoch, "leaves") => {
                let epoch = Epoch::Past(self.past.ok_or(Unknown)?);
                cutter.begin(Place::Row(epoch, Section::Leaves, 0), here)?;
                None
            }
            (At::Secrets(epoch), "secret_tree") => Some(At::Tree(epoch)),
            (At::Tree(epoch), "leaf_nodes") => Some(At::Entries(epoch, Section::LeafNodes)),
            (At::Tree(epoch), "parent_nodes") => Some(At::Entries(epoch, Section::ParentNodes)),
            (At::Tree(epoch), "handshake_sender_ratchets") => Some(At::Entries(epoch, Section::HandshakeRatchets)),
            (At::Tree(epoch), "application_sender_ratchets") => Some(At::Entries(epoch, Section::ApplicationRatchets)),
            _ => None,
        };
        cutter.write(name)?;
        match inner {
            Some(at) => value.serialize(Part(cutter, at)),
            None => cutter.append(value),
        }
    }

    fn end(self) -> Result<(), Unknown> {
        Ok(())
    }
}

impl Fields<'_, '_> {
    /// The number of a past epoch. It must come first, since the row that it is in depends on it.
    fn serialize_epoch<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unknown> {
        let cutter = &mut *self.cutter;
        if name != "epoch" {
            return Err(Unknown);
        }
        cutter.append(name)?;
        let number = cutter.bytes.len();
        cutter.append(value)?;
        let number: u64 = codec::decode(&cutter.bytes[number..]).map_err(|_| Unknown)?;
        self.past = Some(number);
        let epoch = Epoch::Past(number);
        if (cutter.keep)(epoch) {
            return cutter.skip(epoch, self.start);
        }
        cutter.begin(Place::beginning(epoch), self.start)?;
        cutter.fill()
    }
}

/// The entries of a vector.
struct Entries<'c, 'a> {
    cutter: &'c mut Cutter<'a>,
    at: At,
    next: u32,
    /// The entry at which the next row begins.
    row: u32,
}

impl SerializeSeq for Entries<'_, '_> {
    type Ok = ();
    type Error = Unknown;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unknown> {
        let At::Entries(epoch, section) = self.at else {
            return value.serialize(Part(self.cutter, At::PastEpoch));
        };
        if self.next == self.row {
            let here = self.cutter.bytes.len();
            self.cutter.begin(Place::Row(epoch, section, self.next), here)?;
            self.row = (self.next / PAGE + 1) * PAGE;
        }
        self.next += 1;
        let before = self.cutter.bytes.len();
        value.serialize(Part(self.cutter, At::Entry))?;
        let after = self.cutter.bytes.len();
        if after - before > 1 && self.cutter.open.as_ref().is_some_and(|row| after - row.start >= LONG) {
            self.row = self.next;
        }
        Ok(())
    }

    fn end(self) -> Result<(), Unknown> {
        // Where the last row begins tells how many pages there are.
        if let Some(row) = &mut self.cutter.open {
            row.blank = false;
        }
        Ok(())
    }
}

/// What these parts never are.
macro_rules! unknown {
    ($($name:ident($($of:ty),*) -> $ok:ty,)*) => {
        $(fn $name(self, $(_: $of),*) -> Result<$ok, Unknown> { Err(Unknown) })*
    };
}

impl<'c, 'a> ser::Serializer for Part<'c, 'a> {
    type Ok = ();
    type Error = Unknown;
    type SerializeSeq = Entries<'c, 'a>;
    type SerializeStruct = Fields<'c, 'a>;
    type SerializeTuple = Impossible<(), Unknown>;
    type SerializeTupleStruct = Impossible<(), Unknown>;
    type SerializeTupleVariant = Impossible<(), Unknown>;
    type SerializeMap = Impossible<(), Unknown>;
    type SerializeStructVariant = Impossible<(), Unknown>;

    fn serialize_struct(self, name: &'static str, fields: usize) -> Result<Fields<'c, 'a>, Unknown> {
        let Part(cutter, at) = self;
        let expected = match at {
            At::Store => "MessageSecretsStore",
            At::PastEpoch => "EpochTree",
            At::Secrets(_) => "MessageSecrets",
            At::Tree(_) => "SecretTree",
            At::PastEpochs | At::Entries(..) | At::Entry => return Err(Unknown),
        };
        if name != expected {
            return Err(Unknown);
        }
        let start = cutter.bytes.len();
        codec::serializer(&mut cutter.bytes)
            .serialize_struct(name, fields)
            .map_err(|_| Unknown)?;
        let past = None;
        Ok(Fields {
            cutter,
            at,
            start,
            past,
        })
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Entries<'c, 'a>, Unknown> {
        let Part(cutter, at) = self;
        if !matches!(at, At::PastEpochs | At::Entries(..)) || length.is_none() {
            return Err(Unknown);
        }
        codec::serializer(&mut cutter.bytes)
            .serialize_seq(length)
            .map_err(|_| Unknown)?;
        Ok(Entries {
            cutter,
            at,
            next: 0,
            row: 0,
        })
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Unknown> {
        if self.1 != At::Entry {
            return Err(Unknown);
        }
        self.0.bytes.push(NONE);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unknown> {
        if self.1 != At::Entry {
            return Err(Unknown);
        }
        self.0.write(value)
    }

    unknown! {
        serialize_bool(bool) -> (),
        serialize_i8(i8) -> (),
        serialize_i16(i16) -> (),
        serialize_i32(i32) -> (),
        serialize_i64(i64) -> (),
        serialize_u8(u8) -> (),
        serialize_u16(u16) -> (),
        serialize_u32(u32) -> (),
        serialize_u64(u64) -> (),
        serialize_f32(f32) -> (),
        serialize_f64(f64) -> (),
        serialize_char(char) -> (),
        serialize_str(&str) -> (),
        serialize_bytes(&[u8]) -> (),
        serialize_unit() -> (),
        serialize_unit_struct(&'static str) -> (),
        serialize_unit_variant(&'static str, u32, &'static str) -> (),
        serialize_tuple(usize) -> Self::SerializeTuple,
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant,
        serialize_map(Option<usize>) -> Self::SerializeMap,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant,
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<(), Unknown> {
        Err(Unknown)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Unknown> {
        Err(Unknown)
    }
}

/// The value has another shape.
#[derive(Debug)]
struct Unknown;

impl Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message secrets have another shape than the one that can be cut")
    }
}

impl std::error::Error for Unknown {}

impl ser::Error for Unknown {
    fn custom<T: Display>(_: T) -> Self {
        Unknown
    }
}
