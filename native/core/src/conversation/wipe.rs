//! Ending: what is deleted when a conversation is wiped or removes this client.

use openmls_traits::OpenMlsProvider;

use crate::conversation::{Conversation, State};
use crate::error::Result;
use crate::keystore::Entity;
use crate::session::Session;

impl Session {
    /// Deletes everything this keystore has of a conversation. The others are not told.
    pub fn wipe(&mut self, id: &[u8]) -> Result<()> {
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
