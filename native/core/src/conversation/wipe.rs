//! Ending: what is deleted when a conversation is wiped or removes this client.

use openmls_traits::OpenMlsProvider;

use crate::conversation::{Conversation, State, scope_of};
use crate::error::Result;
use crate::id::check_id;
use crate::keystore::Entity;
use crate::session::Session;

impl Session {
    /// Deletes everything this keystore has of a conversation, also what was to join it. The others are not told.
    pub fn wipe(&mut self, id: &[u8]) -> Result<()> {
        check_id("conversation id", id)?;
        let scope = scope_of(id)?;
        if self.find_row(&scope)?.is_none() && self.pending_join(&scope)?.is_some() {
            return self.provider.rows().delete_scope(&scope, &[Entity::Generations]);
        }
        let (scope, row) = self.conversation_row(id)?;
        if row.state == State::Removed {
            self.provider.rows().delete_scope(&scope, &[Entity::Generations])
        } else {
            self.in_conversation(id, |conversation| conversation.erase())
        }
    }
}

impl Conversation<'_> {
    /// Deletes everything but what keeps generations from being used twice.
    pub(crate) fn erase(&mut self) -> Result<()> {
        self.leave_reservation()?;
        self.group.delete(self.provider.storage())?;
        self.provider.rows().delete_scope(&self.scope, &[Entity::Generations])?;
        self.row.state = State::Removed;
        Ok(())
    }

    /// The commit that was to found it was refused: what it replaced is there again, and what waits goes on waiting.
    pub(crate) fn undo_founding(&mut self) -> Result<()> {
        let replaced = self.row.replaced.take();
        let mut keep = vec![Entity::Generations, Entity::Buffered];
        keep.extend(replaced.is_some().then_some(Entity::KnownMessage));
        self.leave_reservation()?;
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
        self.leave_reservation()?;
        self.group.delete(self.provider.storage())?;
        self.provider.rows().delete_scope(
            &self.scope,
            &[Entity::Generations, Entity::Buffered, Entity::KnownMessage],
        )?;
        self.row.state = State::Removed;
        Ok(())
    }

    /// This client was removed by a commit of this epoch: its secrets go. A row stays that tells so, and own messages are known
    /// when they come back.
    pub(crate) fn bury(&mut self, last: u64) -> Result<()> {
        self.leave_reservation()?;
        self.group.delete(self.provider.storage())?;
        self.provider.rows().delete_scope(
            &self.scope,
            &[
                Entity::Generations,
                Entity::Buffered,
                Entity::KnownMessage,
                Entity::PendingJoin,
            ],
        )?;
        self.row.state = State::Removed;
        self.row.last = last;
        self.store_row()
    }
}
