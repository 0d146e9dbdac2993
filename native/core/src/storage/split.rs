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
//! Nothing here knows more of OpenMLS than these names, and one thing about nodes: in an epoch they come and go, but a node that
//! stays has the same secret. So an application message, which changes neither nodes nor handshake ratchets but by opening
//! them, needs only a look at which ones are there ([`Depth::Message`]). A value of another shape is not cut.

mod shape;

use std::fmt::{self, Display};
use std::ops::Range;

use serde::{Serialize, ser};
use zeroize::Zeroizing;

use super::place::{Epoch, Key, PAGE, Place};
use crate::codec::{self, Secret};

/// A row with this many bytes takes no further entry: that of a busy sender remembers a thousand messages.
const LONG: usize = 1024;

/// A value in rows.
pub(super) struct Split {
    bytes: Secret,
    rows: Vec<(Place, Range<usize>)>,
    /// What the keys of rows begin with that are none of these, and yet stay: what was not looked at.
    pub(super) kept: Vec<Vec<u8>>,
    /// Which nodes and handshake ratchets of the present epoch are there. Empty when it was not looked at.
    pub(super) opened: Vec<bool>,
}

/// How closely to look at the secrets of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// At all of them.
    Full,
    /// For what an application message changes: which nodes and handshake ratchets are there, not what they are.
    Message,
    /// Not at all.
    Skip,
}

impl Split {
    /// The rows, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Key, &[u8])> {
        self.rows
            .iter()
            .map(|(place, range)| (place.key(), &self.bytes[range.clone()]))
    }
}

/// Cuts the value, but for what is not looked at. None: it is not of the known shape.
pub(super) fn split(value: &impl Serialize, depth: &dyn Fn(Epoch) -> Depth) -> Option<Split> {
    let mut cutter = Cutter {
        split: Split {
            bytes: Zeroizing::new(Vec::with_capacity(8192)),
            rows: Vec::new(),
            kept: Vec::new(),
            opened: Vec::new(),
        },
        open: None,
        last: None,
        depth,
    };
    cutter.begin(Place::Head, 0).ok()?;
    shape::write(value, &mut cutter).ok()?;
    cutter.end(cutter.split.bytes.len());
    Some(cutter.split)
}

/// Writes the value, and notes where rows begin.
struct Cutter<'a> {
    split: Split,
    open: Option<Open>,
    /// The place that was begun or skipped last.
    last: Option<Place>,
    depth: &'a dyn Fn(Epoch) -> Depth,
}

/// The row that is being written.
struct Open {
    place: Place,
    start: usize,
    worth: Worth,
}

#[derive(Clone, Copy, PartialEq)]
enum Worth {
    /// To be stored.
    Row,
    /// A page of nothing but `None` so far.
    Blank,
    /// To be left as it is stored.
    Kept,
}

impl Cutter<'_> {
    /// A row begins at this byte.
    fn begin(&mut self, place: Place, start: usize) -> Result<(), Unknown> {
        let worth = match place {
            Place::Row(_, _, entry) if entry % PAGE == 0 => Worth::Blank,
            _ => Worth::Row,
        };
        self.begin_as(worth, place, start)
    }

    fn begin_as(&mut self, worth: Worth, place: Place, start: usize) -> Result<(), Unknown> {
        self.end(start);
        // Places must come in order, or the rows could not be joined.
        if self.last.is_some_and(|last| last >= place) {
            return Err(Unknown);
        }
        self.last = Some(place);
        self.open = Some(Open { place, start, worth });
        Ok(())
    }

    /// The row ends before this byte.
    fn end(&mut self, end: usize) {
        if let Some(open) = self.open.take()
            && open.worth == Worth::Row
        {
            self.split.rows.push((open.place, open.start..end));
        }
    }

    /// Rows that begin like this one are not written.
    fn keep(&mut self, place: Place, prefix: Vec<u8>) -> Result<(), Unknown> {
        self.split.kept.push(prefix);
        self.begin_as(Worth::Kept, place, self.split.bytes.len())
    }

    fn is_kept(&self) -> bool {
        matches!(&self.open, Some(row) if row.worth == Worth::Kept)
    }

    /// The row, if it is one to be written, is more than a blank page.
    fn fill(&mut self) -> Result<(), Unknown> {
        let row = self.open.as_mut().ok_or(Unknown)?;
        if row.worth == Worth::Blank {
            row.worth = Worth::Row;
        }
        Ok(())
    }

    fn write(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Unknown> {
        self.fill()?;
        self.append(value)
    }

    fn append(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Unknown> {
        codec::append(&mut self.split.bytes, value).map_err(|_| Unknown)
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
