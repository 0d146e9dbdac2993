//! The rows of a keystore: reads see every write at once, and SQLite sees them when they are flushed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use serde::{Deserialize, Serialize};

use super::files::Files;
use super::image::Image;
use super::pending::{Change, Pending, RowId, Savepoint};
use super::seal::Unsealable;
use super::table::{self, Opened, Value};
use super::wal::Wal;
use super::{Entity, failure};
use crate::error::{Code, Error, Result};

/// A row that was written and taken back before anybody saw it; without a value it was deleted.
#[derive(Serialize, Deserialize)]
pub struct PutAside {
    id: RowId,
    value: Change,
}

/// A row of some conversation, as (scope, key, value).
pub type ScopedRow = (Vec<u8>, Vec<u8>, Value);

/// A write-back map over SQLite. Owned by one thread.
///
/// Writes change memory only; nothing reaches the file before [`flush`](Rows::flush) or
/// [`flush_since`](Rows::flush_since). Reads fail with `DATABASE_IO`; with `CONVERSATION_CORRUPT`
/// for a damaged value of a conversation and `DATABASE_CORRUPT` for one of none, where the page
/// came whole from the file and the value in it is none.
///
/// After a page that could not be read whole, SQLite's cache and SQLCipher's state are not to be
/// trusted. Then every read and every write fails with `DATABASE_IO` until the keystore is opened
/// again.
pub struct Rows {
    connection: Connection,
    wal: Wal,
    pending: RefCell<Pending>,
    /// What every access fails with from now on.
    failed: RefCell<Option<Error>>,
    /// After `connection`, so that SQLite has closed the file before another owner is let in. None in memory.
    files: Option<Files>,
}

impl Rows {
    pub(super) fn over(connection: Connection, files: Option<Files>) -> Self {
        Rows {
            wal: Wal::of(&connection),
            connection,
            pending: RefCell::default(),
            failed: RefCell::default(),
            files,
        }
    }

    /// The only way to SQLite: does `work`, which is to do `what` ("read the keystore"), unless a
    /// page could not be read before.
    fn access<T>(&self, what: &str, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        if let Some(error) = &*self.failed.borrow() {
            return Err(error.clone());
        }
        work(&self.connection).map_err(|error| {
            let is_over = failure::is_of_a_page(&error);
            let error = failure::running(what, error);
            if is_over {
                self.failed.replace(Some(error.clone()));
            }
            error
        })
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.access("read the keystore", work)
    }

    /// The value of a row, if there is one. An empty `scope` is no conversation's.
    pub fn get(&self, entity: Entity, scope: &[u8], key: &[u8]) -> Result<Option<Value>> {
        let id = row_id(entity, scope, key);
        match self.pending.borrow().of(&id) {
            Some(change) => Ok(change.clone()),
            None => match self.read(|connection| table::value(connection, &id))? {
                Some(value) => Ok(Some(opened(scope, value)?)),
                None => Ok(None),
            },
        }
    }

    /// Sets the value of a row.
    pub fn put(&self, entity: Entity, scope: &[u8], key: &[u8], value: impl Into<Value>) {
        self.pending
            .borrow_mut()
            .change(row_id(entity, scope, key), Some(value.into()));
    }

    /// Deletes a row; no failure if there is none.
    pub fn delete(&self, entity: Entity, scope: &[u8], key: &[u8]) {
        self.pending.borrow_mut().change(row_id(entity, scope, key), None);
    }

    /// The rows of one kind in one conversation, as (key, value), ordered by key.
    pub fn list(&self, entity: Entity, scope: &[u8]) -> Result<Vec<(Vec<u8>, Value)>> {
        let stored = self.read(|connection| table::list(connection, entity, scope))?;
        let pending = self.pending.borrow();
        let changes = pending.from(entity, scope).take_while(|(id, _)| id.scope == scope);
        merge(stored, changes)
            .map(|(id, value)| Ok((id.key, opened(scope, value)?)))
            .collect()
    }

    /// The rows of one kind in every conversation, as (scope, key, value), ordered by scope and
    /// key. Fails for one damaged value: who is to go on with the others takes
    /// [`keys_of_all`](Rows::keys_of_all) and reads them one by one.
    pub fn list_all(&self, entity: Entity) -> Result<Vec<ScopedRow>> {
        let stored = self.read(|connection| table::list_all(connection, entity))?;
        let pending = self.pending.borrow();
        merge(stored, pending.from(entity, &[]))
            .map(|(id, value)| {
                let value = opened(&id.scope, value)?;
                Ok((id.scope, id.key, value))
            })
            .collect()
    }

    /// As [`list`](Rows::list), for a caller that will [replace](Rows::replace) the rows: what they are is remembered.
    pub fn list_with_image(&self, entity: Entity, scope: &[u8]) -> Result<Vec<(Vec<u8>, Value)>> {
        let rows = self.list(entity, scope)?;
        self.pending.borrow_mut().images.keep(Image::of(entity, scope, &rows));
        Ok(rows)
    }

    /// What the rows of one kind in one conversation are, to be compared with and [replaced](Rows::replace). Read from memory
    /// where nothing but `replace` has changed them since they were read last.
    pub fn image(&self, entity: Entity, scope: &[u8]) -> Result<Image> {
        let known = self.pending.borrow_mut().images.take(entity, scope);
        match known {
            Some(image) => Ok(image),
            None => Ok(Image::of(entity, scope, &self.list(entity, scope)?)),
        }
    }

    /// Makes the rows that this is the image of exactly these, which come in the order of their keys; those whose keys begin
    /// with one of `kept` stay as they are. Writes only what differs. Nothing may have changed the rows since the image was
    /// taken.
    pub fn replace<'v>(
        &self,
        mut image: Image,
        rows: impl Iterator<Item = (impl AsRef<[u8]>, &'v [u8])>,
        kept: &[impl AsRef<[u8]>],
    ) {
        let (entity, scope) = (image.entity, image.scope.clone());
        let mut pending = self.pending.borrow_mut();
        image.replace(rows, kept, |key, change| {
            pending.change(row_id(entity, &scope, key), change)
        });
        pending.images.keep(image);
    }

    /// Deletes every row of a conversation, of all kinds but those in `keep`.
    ///
    /// The empty scope is no conversation: `INTERNAL_ERROR`, nothing deleted.
    pub fn delete_scope(&self, scope: &[u8], keep: &[Entity]) -> Result<()> {
        if scope.is_empty() {
            return Err(Error::internal(
                "the rows of no conversation were to be deleted as if they were one's",
            ));
        }
        let mut doomed = BTreeSet::new();
        for &entity in Entity::ALL.iter().filter(|entity| !keep.contains(entity)) {
            doomed.append(&mut self.ids(entity, scope)?);
        }
        let mut pending = self.pending.borrow_mut();
        doomed.into_iter().for_each(|id| pending.change(id, None));
        Ok(())
    }

    /// The keys of one kind in one conversation, in order; cheap, because no value is read.
    pub fn keys(&self, entity: Entity, scope: &[u8]) -> Result<Vec<Vec<u8>>> {
        Ok(self.ids(entity, scope)?.into_iter().map(|id| id.key).collect())
    }

    /// Whether there is this row. Its value is not read.
    pub fn has(&self, entity: Entity, scope: &[u8], key: &[u8]) -> Result<bool> {
        let id = row_id(entity, scope, key);
        match self.pending.borrow().of(&id) {
            Some(change) => Ok(change.is_some()),
            None => self.read(|connection| table::has(connection, &id)),
        }
    }

    /// The keys of one kind in every conversation, as (scope, key), ordered by both.
    pub fn keys_of_all(&self, entity: Entity) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut ids: BTreeSet<RowId> = self
            .read(|connection| table::all_ids(connection, entity))?
            .into_iter()
            .collect();
        apply(&mut ids, self.pending.borrow().from(entity, &[]));
        Ok(ids.into_iter().map(|id| (id.scope, id.key)).collect())
    }

    /// The first key of one kind in one conversation that is not before `from`; cheap, however many
    /// there are.
    pub fn first_key(&self, entity: Entity, scope: &[u8], from: &[u8]) -> Result<Option<Vec<u8>>> {
        let pending = self.pending.borrow();
        let mut from = from.to_vec();
        let stored = loop {
            let found = self.read(|connection| table::first_key(connection, entity, scope, &from))?;
            let Some(key) = found else { break None };
            match pending.of(&row_id(entity, scope, &key)) {
                Some(None) => from = [&key[..], &[0]].concat(),
                _ => break Some(key),
            }
        };
        let mut written = pending
            .within(entity, scope, &from)
            .filter(|(_, change)| change.is_some());
        let written = written.next().map(|(id, _)| id.key.clone());
        Ok([stored, written].into_iter().flatten().min())
    }

    /// The last key of one kind in one conversation; cheap, however many there are.
    pub fn last_key(&self, entity: Entity, scope: &[u8]) -> Result<Option<Vec<u8>>> {
        let pending = self.pending.borrow();
        let mut before: Option<Vec<u8>> = None;
        let stored = loop {
            let found = self.read(|connection| table::last_key(connection, entity, scope, before.as_deref()))?;
            let Some(key) = found else { break None };
            match pending.of(&row_id(entity, scope, &key)) {
                Some(None) => before = Some(key),
                _ => break Some(key),
            }
        };
        let mut written = pending
            .within(entity, scope, &[])
            .filter(|(_, change)| change.is_some());
        let written = written.next_back().map(|(id, _)| id.key.clone());
        Ok([stored, written].into_iter().flatten().max())
    }

    fn ids(&self, entity: Entity, scope: &[u8]) -> Result<BTreeSet<RowId>> {
        let mut ids: BTreeSet<RowId> = self
            .read(|connection| table::ids(connection, entity, scope))?
            .into_iter()
            .collect();
        let pending = self.pending.borrow();
        apply(
            &mut ids,
            pending.from(entity, scope).take_while(|(id, _)| id.scope == scope),
        );
        Ok(ids)
    }

    /// Marks this moment, for [`rollback_to`](Rows::rollback_to). Costs nothing and need not be released.
    pub fn savepoint(&self) -> Savepoint {
        self.pending.borrow().savepoint()
    }

    /// Takes back what was written since and is not stored yet.
    pub fn rollback_to(&self, savepoint: Savepoint) {
        self.pending.borrow_mut().rollback_to(savepoint);
    }

    /// Takes back what was written since and hands it out, to be [restored](Rows::restore) later or never.
    pub fn put_aside(&self, savepoint: Savepoint) -> Vec<PutAside> {
        let mut pending = self.pending.borrow_mut();
        let written = pending.rows_since(savepoint).into_iter();
        let rows = written
            .map(|id| PutAside {
                value: pending.of(&id).cloned().flatten(),
                id,
            })
            .collect();
        pending.rollback_to(savepoint);
        rows
    }

    /// Writes what was put aside.
    pub fn restore(&self, rows: Vec<PutAside>) {
        let mut pending = self.pending.borrow_mut();
        rows.into_iter().for_each(|row| pending.change(row.id, row.value));
    }

    /// How many writes were attempted since and not taken back, stored or not.
    pub fn writes_since(&self, savepoint: Savepoint) -> u64 {
        self.pending.borrow().writes_since(savepoint)
    }

    /// Stores all that is pending in one SQLite commit; durable when this returns. Does nothing when nothing is pending.
    ///
    /// On failure everything is pending as before, to be flushed again or discarded. `DATABASE_IO` then means that the rows
    /// are not stored, except when the disk failed at the very end: they may be found after the next open.
    pub fn flush(&self) -> Result<()> {
        let mut pending = self.pending.borrow_mut();
        if !pending.is_empty() {
            self.store(pending.changes())?;
        }
        pending.settle();
        Ok(())
    }

    /// The same, and makes a new state also when nothing is pending.
    pub(super) fn flush_in_any_case(&self) -> Result<()> {
        let mut pending = self.pending.borrow_mut();
        self.store(pending.changes())?;
        pending.settle();
        Ok(())
    }

    /// Stores now, durably and alone, the rows that were written since the savepoint, with their present values. For what
    /// must outlive a rollback.
    ///
    /// They are pending no more, and going back to any savepoint, also an earlier one, leaves them as stored. What was
    /// pending for such a row from before is part of its history and gone with it. All other rows stay as they are. On
    /// failure nothing has changed.
    pub fn flush_since(&self, savepoint: Savepoint) -> Result<()> {
        let mut pending = self.pending.borrow_mut();
        let rows = pending.rows_since(savepoint);
        if !rows.is_empty() {
            self.store(rows.iter().filter_map(|id| pending.of(id).map(|change| (id, change))))?;
        }
        pending.stored(&rows);
        Ok(())
    }

    /// Drops all that is pending.
    pub fn discard(&self) {
        self.pending.borrow_mut().abandon();
    }

    /// Whether anything is pending.
    pub fn is_dirty(&self) -> bool {
        !self.pending.borrow().is_empty()
    }

    /// Empties the write-ahead log if it holds anything, so that what was deleted or replaced is
    /// gone from the files. To be called one second after [`unclean_since`](Rows::unclean_since) at
    /// the latest. `DATABASE_IO` or `DATABASE_IN_USE` when it cannot be done now.
    pub fn idle(&self) -> Result<()> {
        self.refuse_when_lost()?;
        self.empty_log()
    }

    fn empty_log(&self) -> Result<()> {
        let emptied = self.access("clean the keystore's log", |connection| self.wal.empty(connection))?;
        if emptied {
            return Ok(());
        }
        Err(Error::new(
            Code::DatabaseInUse,
            "Cannot clean the keystore's log: another program is reading its file. Nothing but one session may open it.",
        ))
    }

    /// Since when something is in the log that was deleted or replaced, or may be; `None`: nothing
    /// is.
    pub fn unclean_since(&self) -> Option<Instant> {
        self.wal.since()
    }

    /// `DATABASE_LOST`, from then on always, when the file was deleted, renamed or replaced: to be
    /// asked before anything is handed out that relies on what was stored before.
    pub fn refuse_when_lost(&self) -> Result<()> {
        self.files.as_ref().map_or(Ok(()), Files::refuse_when_lost)
    }

    pub(super) fn close(self) -> Result<()> {
        // What is in the log goes into the file also when that is lost: it may only have another
        // name.
        let lost = self.refuse_when_lost();
        let emptied = self.empty_log();
        let closed = self
            .connection
            .close()
            .map_err(|(_, error)| failure::running("close the keystore", error));
        lost.and(emptied).and(closed)
    }

    fn store<'a>(&self, changes: impl Iterator<Item = (&'a RowId, &'a Change)>) -> Result<()> {
        self.refuse_when_lost()?;
        let files = self.files.as_ref();
        let number = self.access("store what has changed in the keystore", |connection| {
            let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
            for (id, change) in changes {
                match change {
                    Some(value) => table::put(&transaction, id, value)?,
                    None => table::delete(&transaction, id)?,
                }
            }
            let number = files.map(|files| files.advance(&transaction)).transpose()?;
            transaction.commit()?;
            Ok(number)
        })?;
        if let (Some(files), Some(number)) = (files, number) {
            files.stored(number);
        }
        self.wal.committed(&self.connection);
        // Where it went is looked at once more, before anybody is told that it is stored.
        self.refuse_when_lost()
    }
}

/// The value as it is to be used, or what is said where it does not open.
fn opened(scope: &[u8], value: Opened) -> Result<Value> {
    value.map_err(|cause: Unsealable| Error::damaged(scope).caused_by(cause))
}

fn row_id(entity: Entity, scope: &[u8], key: &[u8]) -> RowId {
    RowId {
        entity,
        scope: scope.to_vec(),
        key: key.to_vec(),
    }
}

/// What the rows are once the changes are applied, in order.
fn merge<'a>(
    stored: Vec<(RowId, Opened)>,
    changes: impl Iterator<Item = (&'a RowId, &'a Change)>,
) -> impl Iterator<Item = (RowId, Opened)> {
    let mut rows: BTreeMap<RowId, Opened> = stored.into_iter().collect();
    for (id, change) in changes {
        match change {
            Some(value) => rows.insert(id.clone(), Ok(value.clone())),
            None => rows.remove(id),
        };
    }
    rows.into_iter()
}

/// Which rows there are once the changes are applied.
fn apply<'a>(ids: &mut BTreeSet<RowId>, changes: impl Iterator<Item = (&'a RowId, &'a Change)>) {
    for (id, change) in changes {
        match change {
            Some(_) => ids.insert(id.clone()),
            None => ids.remove(id),
        };
    }
}
