//! A client's session: its keystore, its live groups, and the rule that a step happens whole or not at all.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::conversation::generations::Reserved;
use crate::error::{Code, Error, Result};
use crate::groups::Groups;
use crate::id::check_id;
use crate::keystore::{Entity, Keystore, Savepoint};
use crate::limits::{KEY_PACKAGE_GRACE_MS, MAX_DATA_KEY, MAX_DATA_VALUE};
use crate::provider::Provider;

/// The state of one client. Lives on the engine thread of its keystore.
///
/// Every call is a *step*. Outside a transaction a step is durable once [`store`](Session::store) returned; inside one the
/// steps wait in memory for [`commit`](Session::commit).
pub struct Session {
    pub(crate) provider: Provider,
    pub(crate) groups: Groups,
    client_id: Option<Vec<u8>>,
    pub(crate) transaction: Option<Transaction>,
    /// Before this moment, in milliseconds since 1970, no key package is to be deleted for its age.
    old_key_packages_ms: u64,
    /// The scopes whose groups the present step took in hand.
    touched: HashSet<Vec<u8>>,
}

/// What an open transaction has to remember to be taken back.
#[derive(Default)]
pub(crate) struct Transaction {
    touched: HashSet<Vec<u8>>,
    marks: Vec<Savepoint>,
    pub(crate) reserved: Reserved,
}

#[derive(Serialize, Deserialize)]
struct ClientRow {
    client_id: Vec<u8>,
}

const CLIENT: &[u8] = b"client";

impl Session {
    /// Takes the keystore over.
    pub fn new(keystore: Keystore) -> Self {
        Session {
            provider: Provider::new(keystore),
            groups: Groups::default(),
            client_id: None,
            transaction: None,
            old_key_packages_ms: 0,
            touched: HashSet::new(),
        }
    }

    /// Binds the keystore to this client for good; `CLIENT_MISMATCH` when it is another one's.
    pub fn bind(&mut self, client_id: &[u8]) -> Result<()> {
        check_id("client id", client_id)?;
        match self.provider.read::<ClientRow>(Entity::Meta, &[], CLIENT)? {
            Some(row) if row.client_id != client_id => {
                return Err(Error::new(
                    Code::ClientMismatch,
                    "This keystore belongs to another client. Open the keystore of this client, or use a new file.",
                ));
            }
            Some(_) => self.client_id = Some(client_id.to_vec()),
            None => {
                let row = ClientRow {
                    client_id: client_id.to_vec(),
                };
                self.provider.write(Entity::Meta, &[], CLIENT, &row)?;
                self.client_id = Some(row.client_id);
            }
        }
        // Opening does not fail for it: what cannot be deleted now has its turn when the session is idle.
        let savepoint = self.provider.rows().savepoint();
        if self.forget_old_key_packages().is_err() {
            self.provider.rows().rollback_to(savepoint);
        }
        Ok(())
    }

    pub(crate) fn client_id(&self) -> Result<&[u8]> {
        self.client_id
            .as_deref()
            .ok_or_else(|| Error::internal("the keystore is not bound to a client yet"))
    }

    /// From here on it is this moment, in milliseconds since 1970, until another one is set; `None`: it is what the machine's
    /// clock says, as it is for every new session. For tests.
    pub fn set_time(&self, now_ms: Option<u64>) {
        self.provider.clock().set(now_ms);
    }

    /// Runs one step. When it fails, nothing of it stays, and the groups it touched are loaded again when next needed.
    pub fn step<R>(&mut self, work: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        let savepoint = self.provider.rows().savepoint();
        self.touched.clear();
        let result = work(self);
        if result.is_err() {
            self.provider.rows().rollback_to(savepoint);
            for scope in &self.touched {
                self.groups.forget(scope);
            }
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.touched.extend(self.touched.drain());
        }
        result
    }

    pub(crate) fn touch(&mut self, scope: &[u8]) {
        self.touched.insert(scope.to_vec());
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Opens a transaction.
    pub fn begin(&mut self) -> Result<()> {
        if self.transaction.is_some() {
            return Err(Error::internal("a transaction is open already"));
        }
        self.transaction = Some(Transaction::default());
        Ok(())
    }

    /// Stores what the transaction did, together. When that fails nothing of it is stored and the transaction is over.
    pub fn commit(&mut self) -> Result<()> {
        let transaction = self.end()?;
        self.store_after(|session| transaction.reserved.release(&session.provider))
    }

    /// Takes back what the transaction did, except what must not be: ratchet generations whose bytes were handed out.
    pub fn rollback(&mut self) -> Result<()> {
        let transaction = self.end()?;
        self.provider.rows().discard();
        for scope in &transaction.touched {
            self.groups.forget(scope);
        }
        self.store_after(|session| transaction.reserved.burn(&session.provider))
    }

    fn end(&mut self) -> Result<Transaction> {
        self.transaction
            .take()
            .ok_or_else(|| Error::internal("no transaction is open"))
    }

    /// A point of the open transaction to come back to.
    pub fn mark(&mut self) -> Result<u32> {
        let savepoint = self.provider.rows().savepoint();
        let transaction = self
            .transaction
            .as_mut()
            .ok_or_else(|| Error::internal("no transaction is open"))?;
        transaction.marks.push(savepoint);
        u32::try_from(transaction.marks.len() - 1).map_err(|_| Error::internal("too many marks"))
    }

    /// Takes back what the transaction did since the mark.
    pub fn rollback_to(&mut self, mark: u32) -> Result<()> {
        let transaction = self
            .transaction
            .as_mut()
            .ok_or_else(|| Error::internal("no transaction is open"))?;
        let index = usize::try_from(mark).map_err(|_| Error::internal("no such mark"))?;
        if index >= transaction.marks.len() {
            return Err(Error::internal("no such mark"));
        }
        let savepoint = transaction
            .marks
            .drain(index..)
            .next()
            .ok_or_else(|| Error::internal("no such mark"))?;
        transaction.reserved.came_back = true;
        self.provider.rows().rollback_to(savepoint);
        for scope in &transaction.touched {
            self.groups.forget(scope);
        }
        Ok(())
    }

    /// Makes the steps so far durable, with one fsync for all of them. When that fails, none of them happened.
    pub fn store(&mut self) -> Result<()> {
        self.store_after(|_| Ok(()))
    }

    /// The one place where what is pending ends: all of it is stored, after `last` has added to it,
    /// or all of it is given up. Whatever fails here leaves nothing that a later step could store,
    /// and no group that is ahead of the file.
    fn store_after(&mut self, last: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let stored = last(self).and_then(|()| self.provider.rows().flush());
        if stored.is_err() {
            self.provider.rows().discard();
            self.groups.clear();
        }
        stored
    }

    /// Makes what was written since the savepoint durable at once, whatever becomes of the transaction around it.
    pub(crate) fn store_now(&self, savepoint: Savepoint) -> Result<()> {
        self.provider.rows().flush_since(savepoint)
    }

    /// To be called one second after the first step since it was called last, at the latest,
    /// whatever else happens: deletes key packages that ended some days ago, and makes what was
    /// deleted leave the files. Not between the steps of a batch that is not stored yet. Answers
    /// whether there is more to do, in another call.
    pub fn idle(&mut self) -> Result<bool> {
        let tidied = self.tidy();
        self.provider.rows().idle()?;
        tidied
    }

    /// Makes what was deleted leave the files; nothing else, so that it can be called at any time.
    pub(crate) fn clean(&self) -> Result<()> {
        self.provider.rows().idle()
    }

    /// Since when something that was deleted is in the files; `None`: nothing is.
    pub(crate) fn unclean_since(&self) -> Option<Instant> {
        self.provider.rows().unclean_since()
    }

    /// How long it is until key packages are to be deleted, by the clock of this session; no limit
    /// where none are known.
    pub(crate) fn until_tidy(&self) -> Duration {
        let now_ms = self.provider.clock().now_ms();
        Duration::from_millis(self.old_key_packages_ms.saturating_sub(now_ms))
    }

    /// Not within a transaction, with which it would be taken back: then it is left to do.
    fn tidy(&mut self) -> Result<bool> {
        if !self.until_tidy().is_zero() {
            return Ok(false);
        }
        if self.in_transaction() {
            return Ok(true);
        }
        let left = self.step(|session| session.forget_old_key_packages())?;
        self.store()?;
        self.old_key_packages_ms = if left.more { 0 } else { left.next_ms };
        Ok(left.more)
    }

    /// A key package was made or replaced now: some days later at the earliest it is to be deleted.
    pub(crate) fn expect_old_key_packages(&mut self) {
        let earliest_ms = self.provider.clock().now_ms().saturating_add(KEY_PACKAGE_GRACE_MS);
        self.old_key_packages_ms = self.old_key_packages_ms.min(earliest_ms);
    }

    /// Drops what was not stored, checkpoints, and gives the files up.
    pub fn close(self) -> Result<()> {
        self.provider.into_keystore().close()
    }

    /// Stores or deletes a small value of the application.
    pub fn set_data(&mut self, key: &str, value: Option<&[u8]>) -> Result<()> {
        if key.is_empty() || key.len() > MAX_DATA_KEY {
            return Err(Error::invalid(format!(
                "The key of a value must have 1 to {MAX_DATA_KEY} bytes of UTF-8."
            )));
        }
        let keystore = self.provider.rows();
        match value {
            Some(value) if value.len() > MAX_DATA_VALUE => Err(Error::invalid(format!(
                "The value has {} bytes. Keep at most {MAX_DATA_VALUE} here and larger ones in your own database.",
                value.len()
            ))),
            Some(value) => {
                keystore.put(Entity::Data, &[], key.as_bytes(), value.to_vec());
                Ok(())
            }
            None => {
                keystore.delete(Entity::Data, &[], key.as_bytes());
                Ok(())
            }
        }
    }

    /// The value stored under this key.
    pub fn data(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self
            .provider
            .rows()
            .get(Entity::Data, &[], key.as_bytes())?
            .map(|value| value.to_vec()))
    }
}
