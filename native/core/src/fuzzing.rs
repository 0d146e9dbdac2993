//! What the fuzzer sees of a session that nobody else does.

use crate::keystore::Rows;
use crate::session::Session;
pub use crate::storage::fuzzing::{MessageSecrets, Scope, join};

impl Session {
    /// Everything that is stored, to be read and damaged.
    pub fn rows(&self) -> &Rows {
        self.provider.rows()
    }

    /// All groups are loaded again when next needed.
    pub fn forget_groups(&mut self) {
        self.groups.clear();
    }
}
