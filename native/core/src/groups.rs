//! The live groups: those used last stay in memory.

use std::collections::{HashMap, HashSet};

use openmls::prelude::MlsGroup;

/// How many groups stay loaded. One of 1,000 members takes about a megabyte.
const CAPACITY: usize = 128;

/// A least-recently-used cache of groups by their scope.
#[derive(Default)]
pub(crate) struct Groups {
    live: HashMap<Vec<u8>, (u64, MlsGroup)>,
    clock: u64,
    /// Those whose work has panicked. They are not loaded again as long as the session lives.
    shut: HashSet<Vec<u8>>,
}

impl Groups {
    /// Hands the group out; whoever changed it successfully gives it back with [`keep`](Self::keep).
    pub(crate) fn take(&mut self, scope: &[u8]) -> Option<MlsGroup> {
        self.live.remove(scope).map(|(_, group)| group)
    }

    pub(crate) fn keep(&mut self, scope: Vec<u8>, group: MlsGroup) {
        if self.live.len() >= CAPACITY {
            let oldest = self
                .live
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(scope, _)| scope.clone());
            if let Some(oldest) = oldest {
                self.live.remove(&oldest);
            }
        }
        self.clock += 1;
        self.live.insert(scope, (self.clock, group));
    }

    pub(crate) fn forget(&mut self, scope: &[u8]) {
        self.live.remove(scope);
    }

    /// Nothing is done with this group any more, unless it is another one that comes by that scope.
    pub(crate) fn shut(&mut self, scope: &[u8]) {
        self.forget(scope);
        self.shut.insert(scope.to_vec());
    }

    pub(crate) fn is_shut(&self, scope: &[u8]) -> bool {
        self.shut.contains(scope)
    }

    /// The group of this scope is gone, or is another one from now on.
    pub(crate) fn replaced(&mut self, scope: &[u8]) {
        self.forget(scope);
        self.shut.remove(scope);
    }

    pub(crate) fn clear(&mut self) {
        self.live.clear();
    }
}
