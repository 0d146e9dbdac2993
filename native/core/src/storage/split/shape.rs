//! The shape of message secrets: walks through a value, and tells the [`Cutter`] where in it a row begins.

use serde::Serialize;
use serde::ser::{Impossible, SerializeSeq, SerializeStruct, Serializer};

use super::{Cutter, Depth, LONG, Unknown};
use crate::codec;
use crate::storage::place::{Epoch, NONE, PAGE, Place, Section};

/// Writes a value of this shape.
pub(super) fn write(value: &impl Serialize, cutter: &mut Cutter<'_>) -> Result<(), Unknown> {
    value.serialize(Part(cutter, At::Store))
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
    /// Of which it is only asked whether it is there.
    Presence,
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
        let here = cutter.split.bytes.len();
        let inner = match (self.at, name) {
            (At::PastEpoch, _) => return self.serialize_past(name, value),
            (At::Store, "past_epoch_trees") => Some(At::PastEpochs),
            (At::Store, "message_secrets") => {
                let beginning = Place::beginning(Epoch::Present);
                if (cutter.depth)(Epoch::Present) == Depth::Skip {
                    return cutter.keep(beginning, Epoch::Present.prefix().to_vec());
                }
                cutter.begin(beginning, here)?;
                Some(At::Secrets(Epoch::Present))
            }
            (At::Secrets(epoch), "secret_tree") => Some(At::Tree(epoch)),
            (At::Tree(epoch), "leaf_nodes") => Some(At::Entries(epoch, Section::LeafNodes)),
            (At::Tree(epoch), "parent_nodes") => Some(At::Entries(epoch, Section::ParentNodes)),
            (At::Tree(epoch), "handshake_sender_ratchets") => Some(At::Entries(epoch, Section::HandshakeRatchets)),
            (At::Tree(epoch), "application_sender_ratchets") => Some(At::Entries(epoch, Section::ApplicationRatchets)),
            // It may change, and has no row.
            _ if cutter.is_kept() => return Err(Unknown),
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
    /// A field of a past epoch. Its number must come first: where the rest is stored depends on it.
    fn serialize_past<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unknown> {
        let cutter = &mut *self.cutter;
        let here = cutter.split.bytes.len();
        match (self.past, name) {
            (None, "epoch") => {
                cutter.append(name)?;
                let number = cutter.split.bytes.len();
                cutter.append(value)?;
                let number = codec::decode(&cutter.split.bytes[number..]).map_err(|_| Unknown)?;
                self.past = Some(number);
                let epoch = Epoch::Past(number);
                if (cutter.depth)(epoch) == Depth::Skip {
                    cutter.end(self.start);
                    cutter.split.bytes.truncate(self.start);
                    return cutter.keep(Place::beginning(epoch), epoch.prefix().to_vec());
                }
                cutter.begin(Place::beginning(epoch), self.start)?;
                cutter.fill()
            }
            (None, _) => Err(Unknown),
            (Some(_), _) if cutter.is_kept() => Ok(()),
            (Some(epoch), "message_secrets") => {
                cutter.write(name)?;
                value.serialize(Part(cutter, At::Secrets(Epoch::Past(epoch))))
            }
            (Some(epoch), "leaves") => {
                cutter.begin(Place::Row(Epoch::Past(epoch), Section::Leaves, 0), here)?;
                cutter.write(name)?;
                cutter.append(value)
            }
            (Some(_), _) => {
                cutter.write(name)?;
                cutter.append(value)
            }
        }
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
        match self.at {
            At::Entries(epoch, section) => self.serialize_entry(epoch, section, value),
            at => value.serialize(Part(self.cutter, at)),
        }
    }

    fn end(self) -> Result<(), Unknown> {
        // Where the last row begins tells how many pages there are.
        match self.at {
            At::Entries(..) if self.next > 0 => self.cutter.fill(),
            _ => Ok(()),
        }
    }
}

impl Entries<'_, '_> {
    #[inline]
    fn serialize_entry<T: Serialize + ?Sized>(
        &mut self,
        epoch: Epoch,
        section: Section,
        value: &T,
    ) -> Result<(), Unknown> {
        let cutter = &mut *self.cutter;
        let before = cutter.split.bytes.len();
        if self.next == self.row {
            cutter.begin(Place::Row(epoch, section, self.next), before)?;
            self.row = (self.next / PAGE + 1) * PAGE;
        }
        self.next += 1;
        value.serialize(Part(cutter, At::Entry))?;
        let after = cutter.split.bytes.len();
        let there = after - before > 1;
        if there && cutter.open.as_ref().is_some_and(|row| after - row.start >= LONG) {
            self.row = self.next;
        }
        if epoch == Epoch::Present && section != Section::ApplicationRatchets {
            cutter.split.opened.push(there);
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

impl<'c, 'a> Serializer for Part<'c, 'a> {
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
            At::PastEpochs | At::Entries(..) | At::Entry | At::Presence => return Err(Unknown),
        };
        if name != expected {
            return Err(Unknown);
        }
        let start = cutter.split.bytes.len();
        codec::serializer(&mut cutter.split.bytes)
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
        if length.is_none() {
            return Err(Unknown);
        }
        codec::serializer(&mut cutter.split.bytes)
            .serialize_seq(length)
            .map_err(|_| Unknown)?;
        let at = match at {
            At::PastEpochs => At::PastEpoch,
            At::Entries(Epoch::Present, section)
                if section != Section::ApplicationRatchets && (cutter.depth)(Epoch::Present) == Depth::Message =>
            {
                let place = Place::Row(Epoch::Present, section, 0);
                cutter.keep(place, place.section_prefix())?;
                At::Presence
            }
            At::Entries(..) => at,
            _ => return Err(Unknown),
        };
        Ok(Entries {
            cutter,
            at,
            next: 0,
            row: 0,
        })
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Unknown> {
        let Part(cutter, at) = self;
        match at {
            At::Entry => cutter.split.bytes.push(NONE),
            At::Presence => cutter.split.opened.push(false),
            _ => return Err(Unknown),
        }
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unknown> {
        let Part(cutter, at) = self;
        match at {
            At::Entry => cutter.write(value)?,
            At::Presence => cutter.split.opened.push(true),
            _ => return Err(Unknown),
        }
        Ok(())
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
