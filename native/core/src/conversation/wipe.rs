//! Ending: what is deleted when a conversation is wiped or removes this client.

use openmls_traits::OpenMlsProvider;

use crate::conversation::newest::note_epoch;
use crate::conversation::{Conversation, State, scope_of};
use crate::error::Result;
use crate::id::check_id;
use crate::keystore::Entity;
use crate::session::Session;

/// What outlives every end of a conversation: what keeps own generations from being used twice, and this client from being
/// led back to an older epoch.
const OUTLIVES_ALL: &[Entity] = &[Entity::Generations, Entity::NewestEpoch];

impl Session {
    /// Deletes everything this keystore has of a conversation, also what was to join it. The others are not told.
    pub fn wipe(&mut self, id: &[u8]) -> Result<()> {
        check_id("conversation id", id)?;
        let scope = scope_of(id)?;
        if self.find_row(&scope)?.is_none() && self.pending_join(&scope)?.is_some() {
            return self.provider.rows().delete_scope(&scope, OUTLIVES_ALL);
        }
        let (scope, row) = self.conversation_row(id)?;
        if row.state == State::Removed {
            self.provider.rows().delete_scope(&scope, OUTLIVES_ALL)
        } else {
            self.in_conversation(id, |conversation| conversation.erase())
        }
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
        keep.push(Entity::Buffered);
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
        let keep = [OUTLIVES_ALL, &[Entity::Buffered, Entity::KnownMessage, Entity::Seen]].concat();
        self.provider.rows().delete_scope(&self.scope, &keep)?;
        self.row.state = State::Removed;
        Ok(())
    }

    /// This client was removed by a commit of this epoch: its secrets go. A row stays that tells so, and own messages are known
    /// when they come back.
    pub(crate) fn bury(&mut self, last: u64) -> Result<()> {
        self.leave_generations()?;
        self.group.delete(self.provider.storage())?;
        let kept = [
            Entity::Buffered,
            Entity::KnownMessage,
            Entity::Seen,
            Entity::PendingJoin,
        ];
        self.provider
            .rows()
            .delete_scope(&self.scope, &[OUTLIVES_ALL, &kept].concat())?;
        note_epoch(self.provider, &self.scope, last + 1)?;
        self.row.state = State::Removed;
        self.row.stalled = None;
        self.row.last = last;
        self.store_row()
    }
}
