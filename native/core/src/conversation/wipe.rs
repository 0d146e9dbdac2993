//! Ending: what is deleted when a conversation is wiped or removes this client.

use openmls_traits::OpenMlsProvider;

use crate::conversation::buffer::{WAITING, waits_soundly};
use crate::conversation::generations::{drop_damaged_generations, leave_all_generations};
use crate::conversation::known::knows_soundly;
use crate::conversation::newest::{drop_damaged_newest, forget_oldest_newest, note_epoch};
use crate::conversation::received::Receipt;
use crate::conversation::renewal::renews_soundly;
use crate::conversation::seen::sees_soundly;
use crate::conversation::{Conversation, State, not_found, scope_of};
use crate::error::{Code, Result};
use crate::id::check_id;
use crate::keystore::Entity;
use crate::session::Session;

/// What outlives every end of a conversation: what keeps own generations from being used twice, and this client from being
/// led back to an older epoch.
const OUTLIVES_ALL: &[Entity] = &[Entity::Generations, Entity::NewestEpoch];

/// What stays for the same conversation when it is joined anew.
const OUTLIVES_A_JOIN: &[&[Entity]] = &[
    &WAITING,
    &[Entity::KnownMessage],
    &[Entity::Seen],
    &[Entity::PendingJoin],
    &[Entity::Renewal],
];

impl Session {
    /// Deletes everything this keystore has of a conversation, also what was to join it. The others
    /// are not told. Works on what is damaged, too; `CONVERSATION_NOT_FOUND` only where nothing is
    /// there.
    pub fn wipe(&mut self, id: &[u8]) -> Result<()> {
        check_id("conversation id", id)?;
        let scope = scope_of(id)?;
        if !self.has_rows(&scope)? {
            return Err(not_found());
        }
        let savepoint = self.provider.rows().savepoint();
        let erased = match self.find_row(&scope) {
            Ok(Some(row)) if row.state != State::Removed => {
                self.in_conversation(id, |conversation| conversation.erase())
            }
            Ok(_) => self.clear(&scope),
            Err(error) => Err(error),
        };
        match erased {
            Err(error) if ![Code::DatabaseIo, Code::DatabaseInUse].contains(&error.code()) => {
                self.provider.rows().rollback_to(savepoint);
                self.clear(&scope)?;
            }
            erased => erased?,
        }
        self.groups.replaced(&scope);
        // What outlives and cannot be read would be in the way of whatever comes.
        drop_damaged_generations(&self.provider, &scope)?;
        drop_damaged_newest(&self.provider, &scope)?;
        forget_oldest_newest(&self.provider, &scope)
    }

    /// Does `work` on what a conversation has been, which is to be replaced. Where that is damaged,
    /// it is cleared instead.
    pub(crate) fn unless_damaged(
        &mut self,
        scope: &[u8],
        receipt: &mut Receipt,
        work: impl FnOnce(&mut Self, &mut Receipt) -> Result<()>,
    ) -> Result<()> {
        let (savepoint, before) = (self.provider.rows().savepoint(), receipt.lengths());
        match work(self, receipt) {
            Err(error) if error.code() == Code::ConversationCorrupt => {
                self.provider.rows().rollback_to(savepoint);
                receipt.truncate(before);
                self.clear(scope)
            }
            worked => worked,
        }
    }

    /// Makes room for a group of this scope: nothing of another one is in its way, and what
    /// outlives that one can be read.
    pub(crate) fn make_room(&self, scope: &[u8]) -> Result<()> {
        let kept = [&[OUTLIVES_ALL], OUTLIVES_A_JOIN].concat().concat();
        self.provider.rows().delete_scope(scope, &kept)?;
        drop_damaged_generations(&self.provider, scope)?;
        drop_damaged_newest(&self.provider, scope)?;
        for &entities in OUTLIVES_A_JOIN {
            let is_sound = match entities[0] {
                Entity::Buffered => waits_soundly(&self.provider, scope),
                Entity::KnownMessage => knows_soundly(&self.provider, scope),
                Entity::Seen => sees_soundly(&self.provider, scope),
                Entity::Renewal => renews_soundly(&self.provider, scope),
                _ => self.joins_soundly(scope),
            };
            match is_sound {
                Err(error) if error.code() == Code::ConversationCorrupt => {
                    for &entity in entities {
                        for key in self.provider.rows().keys(entity, scope)? {
                            self.provider.rows().delete(entity, scope, &key);
                        }
                    }
                }
                is_sound => is_sound?,
            }
        }
        Ok(())
    }

    /// Deletes all rows of a conversation without asking its group. What outlives it stays where it
    /// can be read.
    fn clear(&mut self, scope: &[u8]) -> Result<()> {
        self.groups.replaced(scope);
        self.provider.rows().delete_scope(scope, OUTLIVES_ALL)?;
        leave_all_generations(&self.provider, scope)
    }

    /// Whether there is anything that a wipe deletes.
    fn has_rows(&self, scope: &[u8]) -> Result<bool> {
        for &entity in Entity::ALL.iter().filter(|entity| !OUTLIVES_ALL.contains(entity)) {
            if self.provider.rows().last_key(entity, scope)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Conversation<'_> {
    /// Deletes everything but what keeps generations from being used twice, and this client from being led back.
    pub(crate) fn erase(&mut self) -> Result<()> {
        self.leave_generations()?;
        self.group.delete(self.provider.storage())?;
        self.provider.rows().delete_scope(&self.scope, OUTLIVES_ALL)?;
        self.row.state = State::Removed;
        Ok(())
    }

    /// The commit that was to found it was refused: what it replaced is there again, and what waits goes on waiting.
    pub(crate) fn undo_founding(&mut self) -> Result<()> {
        let replaced = self.row.replaced.take();
        let mut keep = OUTLIVES_ALL.to_vec();
        keep.extend(WAITING);
        if replaced.is_some() {
            keep.extend([Entity::KnownMessage, Entity::Seen]);
        }
        self.leave_generations()?;
        self.group.delete(self.provider.storage())?;
        self.provider.rows().delete_scope(&self.scope, &keep)?;
        self.row.state = State::Removed;
        if let Some(row) = replaced {
            self.provider.write(Entity::Conversation, &self.scope, &[], &row)?;
        }
        self.let_wait_for_welcome()
    }

    /// Makes way for the same conversation, joined anew: what waits for it stays, and by what own messages are known.
    pub(crate) fn make_way(&mut self) -> Result<()> {
        self.leave_generations()?;
        self.group.delete(self.provider.storage())?;
        let keep = [OUTLIVES_ALL, &WAITING, &[Entity::KnownMessage, Entity::Seen]].concat();
        self.provider.rows().delete_scope(&self.scope, &keep)?;
        self.row.state = State::Removed;
        Ok(())
    }

    /// This client was removed by a commit of this epoch: its secrets go. A row stays that tells so, and own messages are known
    /// when they come back.
    pub(crate) fn bury(&mut self, last: u64) -> Result<()> {
        self.leave_generations()?;
        self.group.delete(self.provider.storage())?;
        let kept = [Entity::KnownMessage, Entity::Seen, Entity::PendingJoin, Entity::Renewal];
        self.provider
            .rows()
            .delete_scope(&self.scope, &[OUTLIVES_ALL, &WAITING, &kept].concat())?;
        note_epoch(self.provider, &self.scope, last + 1)?;
        self.row.state = State::Removed;
        self.row.stalled = None;
        self.row.last = last;
        self.store_row()
    }
}
