//! What has changed and is not stored yet: a map in memory, and a log to go back in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Entity;
use super::image::Images;
use super::table::Value;

/// Which row. Ordered as the table is: by kind, conversation, key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct RowId {
    pub(super) entity: Entity,
    pub(super) scope: Vec<u8>,
    pub(super) key: Vec<u8>,
}

/// The value a row is to have; none: it is to be deleted.
pub(super) type Change = Option<Value>;

/// A moment in the life of the map, to go back to.
///
/// It counts the writes before it, so that flushing or discarding need not end it: what was pending then is pending no
/// more, and going back to it takes back what has come since. One taken after another one is void when that one is gone
/// back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint(u64);

/// The changes by row, and what each write has replaced.
#[derive(Default)]
pub(super) struct Pending {
    changes: BTreeMap<RowId, Change>,
    /// One entry per write since the last flush; none where going back must no longer restore anything.
    log: Vec<Option<Undo>>,
    /// Writes that were flushed or discarded: the number of the first entry of the log.
    settled: u64,
    /// What rows are known to be. Whatever happens to a row here drops the image that it is in; who keeps an image up to date
    /// takes it out before, and puts it back after.
    pub(super) images: Images,
}

struct Undo {
    id: RowId,
    /// What was pending for this row; none: nothing.
    before: Option<Change>,
}

impl Pending {
    pub(super) fn change(&mut self, id: RowId, change: Change) {
        self.images.forget(id.entity, &id.scope);
        let before = self.changes.insert(id.clone(), change);
        self.log.push(Some(Undo { id, before }));
    }

    pub(super) fn of(&self, id: &RowId) -> Option<&Change> {
        self.changes.get(id)
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = (&RowId, &Change)> {
        self.changes.iter()
    }

    /// The changes of one kind, from this conversation on.
    pub(super) fn from(&self, entity: Entity, scope: &[u8]) -> impl Iterator<Item = (&RowId, &Change)> {
        let first = RowId {
            entity,
            scope: scope.to_vec(),
            key: Vec::new(),
        };
        self.changes
            .range(first..)
            .take_while(move |(id, _)| id.entity == entity)
    }

    /// The changes of one kind in this conversation, from this key on.
    pub(super) fn within(
        &self,
        entity: Entity,
        scope: &[u8],
        from: &[u8],
    ) -> impl DoubleEndedIterator<Item = (&RowId, &Change)> {
        let first = RowId {
            entity,
            scope: scope.to_vec(),
            key: from.to_vec(),
        };
        // No scope is between these two.
        let end = RowId {
            entity,
            scope: [scope, &[0]].concat(),
            key: Vec::new(),
        };
        self.changes.range(first..end)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn savepoint(&self) -> Savepoint {
        Savepoint(self.settled + self.log.len() as u64)
    }

    pub(super) fn writes_since(&self, savepoint: Savepoint) -> u64 {
        self.savepoint().0.saturating_sub(savepoint.0)
    }

    pub(super) fn rollback_to(&mut self, savepoint: Savepoint) {
        while self.log.len() > self.position(savepoint) {
            let Some(Some(Undo { id, before })) = self.log.pop() else {
                continue;
            };
            self.images.forget(id.entity, &id.scope);
            match before {
                Some(change) => self.changes.insert(id, change),
                None => self.changes.remove(&id),
            };
        }
    }

    /// The rows that were written since, and are still to be stored.
    pub(super) fn rows_since(&self, savepoint: Savepoint) -> BTreeSet<RowId> {
        let since = self.log.get(self.position(savepoint)..).unwrap_or_default();
        since.iter().flatten().map(|undo| undo.id.clone()).collect()
    }

    /// These rows are stored: nothing pending, and no way back for them. Their entries keep their places in the log.
    pub(super) fn stored(&mut self, rows: &BTreeSet<RowId>) {
        self.changes.retain(|id, _| !rows.contains(id));
        for entry in &mut self.log {
            entry.take_if(|undo| rows.contains(&undo.id));
        }
    }

    /// Everything is given up.
    pub(super) fn abandon(&mut self) {
        for id in self.changes.keys() {
            self.images.forget(id.entity, &id.scope);
        }
        self.settle();
    }

    /// Everything is stored.
    pub(super) fn settle(&mut self) {
        self.settled = self.savepoint().0;
        self.changes.clear();
        self.log.clear();
    }

    fn position(&self, savepoint: Savepoint) -> usize {
        usize::try_from(savepoint.0.saturating_sub(self.settled)).unwrap_or(usize::MAX)
    }
}
