//! Commits: staging, merging, clearing, and what is left open.

use conclave_core::conversation::commit::{MergeOutcome, Merged, Request, StagedCommit, Why};
use conclave_core::conversation::intent::{Invitee, LeafName};
use conclave_core::conversation::known::MessageId;
use conclave_core::error::{Error, Result};
use conclave_core::id::{display_id, from_hex, hex};
use napi::Env;
use napi::bindgen_prelude::{BigInt, Object};
use napi_derive::napi;

use crate::bytes::Uint8Array;
use crate::conversation::NativeStalled;
use crate::credential::reference;
use crate::database::NativeDatabase;
use crate::key_package::milliseconds;
use crate::member::{NativeChange, converted};
use crate::receive::{NativeReceived, NativeSettled};

/// A key package, and the client it must belong to.
#[napi(object, object_to_js = false)]
pub struct NativeInvitee {
    pub key_package: Uint8Array,
    pub client_id: Option<Uint8Array>,
}

impl From<NativeInvitee> for Invitee {
    fn from(invitee: NativeInvitee) -> Self {
        Invitee {
            key_package: invitee.key_package.0,
            client_id: invitee.client_id.map(|id| id.0),
        }
    }
}

/// A leaf, by name and signature key, or by name alone.
#[napi(object, object_to_js = false)]
pub struct NativeLeafName {
    pub client_id: Uint8Array,
    pub signature_key: Option<Uint8Array>,
}

impl From<NativeLeafName> for LeafName {
    fn from(leaf: NativeLeafName) -> Self {
        LeafName {
            client_id: leaf.client_id.0,
            signature_key: leaf.signature_key.map(|key| key.0),
        }
    }
}

/// What a commit is to do, all of it at once.
#[napi(object, object_to_js = false)]
pub struct NativeRequest {
    pub add: Option<Vec<NativeInvitee>>,
    pub remove: Option<Vec<NativeLeafName>>,
    pub credential_ref: Option<String>,
    pub update: Option<bool>,
    pub pending: Option<bool>,
}

impl NativeRequest {
    fn into_core(self) -> Result<Request> {
        Ok(Request {
            add: converted(self.add.unwrap_or_default()),
            remove: converted(self.remove.unwrap_or_default()),
            credential: self.credential_ref.as_deref().map(reference).transpose()?,
            update: self.update.unwrap_or_default(),
            pending: self.pending.unwrap_or_default(),
        })
    }
}

/// Whom a Welcome is for.
#[napi(object, object_from_js = false)]
pub struct NativeWelcomeTo {
    pub client_id: String,
    pub key_package_ref: String,
}

/// A commit to be sent.
#[napi(object, object_from_js = false)]
pub struct NativeStagedCommit {
    pub conversation_id: String,
    pub epoch: BigInt,
    pub commit_id: String,
    pub commit: Uint8Array,
    pub welcome: Option<Uint8Array>,
    pub group_info: Uint8Array,
    pub welcome_to: Vec<NativeWelcomeTo>,
    pub change: NativeChange,
    pub attempt: u32,
    pub intent: Uint8Array,
}

impl From<StagedCommit> for NativeStagedCommit {
    fn from(staged: StagedCommit) -> Self {
        let welcome_to = staged.welcome_to.iter().map(|(client_id, reference)| NativeWelcomeTo {
            client_id: display_id(client_id),
            key_package_ref: hex(reference),
        });
        NativeStagedCommit {
            conversation_id: display_id(&staged.conversation_id),
            epoch: staged.epoch.into(),
            commit_id: hex(&staged.commit_id),
            commit: Uint8Array(staged.commit),
            welcome: staged.welcome.map(|welcome| Uint8Array(welcome.into_vec())),
            group_info: Uint8Array(staged.group_info),
            welcome_to: welcome_to.collect(),
            change: staged.change.into(),
            attempt: staged.attempts,
            intent: Uint8Array(staged.intent),
        }
    }
}

/// A commit that is not settled.
#[napi(object, object_from_js = false)]
pub struct NativeUnsettledCommit {
    pub conversation_id: String,
    pub epoch: BigInt,
    pub commit_id: String,
    pub change: NativeChange,
    pub since_ms: f64,
    #[napi(ts_type = "\"unknown\" | \"exhausted\" | \"restart\"")]
    pub why: String,
}

impl From<StagedCommit> for NativeUnsettledCommit {
    fn from(staged: StagedCommit) -> Self {
        let why = match staged.why {
            Why::Unknown => "unknown",
            Why::Exhausted => "exhausted",
            Why::Restart => "restart",
        };
        NativeUnsettledCommit {
            conversation_id: display_id(&staged.conversation_id),
            epoch: staged.epoch.into(),
            commit_id: hex(&staged.commit_id),
            change: staged.change.into(),
            since_ms: milliseconds(staged.since_ms),
            why: why.to_owned(),
        }
    }
}

/// A merge and what it released.
#[napi(object, object_from_js = false)]
pub struct NativeMerged {
    #[napi(ts_type = "\"merged\" | \"before\" | \"lost\"")]
    pub outcome: String,
    pub epoch: BigInt,
    pub received: Vec<NativeReceived>,
    pub settled: Vec<NativeSettled>,
    pub stalled: Vec<NativeStalled>,
}

impl From<Merged> for NativeMerged {
    fn from(merged: Merged) -> Self {
        let outcome = match merged.outcome {
            MergeOutcome::Merged => "merged",
            MergeOutcome::Before => "before",
            MergeOutcome::Lost => "lost",
        };
        NativeMerged {
            outcome: outcome.to_owned(),
            epoch: merged.epoch.into(),
            received: converted(merged.received),
            settled: converted(merged.settled),
            stalled: converted(merged.stalled),
        }
    }
}

pub(crate) fn commit_id(text: &str) -> Result<MessageId> {
    let bytes = from_hex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| Error::internal("a commitId is not 32 bytes in hexadecimal digits"))
}

#[napi]
impl NativeDatabase {
    /// Builds and stores a commit.
    #[napi(ts_return_type = "Promise<NativeStagedCommit | null>", catch_unwind)]
    pub fn stage_commit<'env>(
        &self,
        env: &'env Env,
        id: Uint8Array,
        request: NativeRequest,
    ) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.stage_commit(&id.0, request.into_core()?),
            |staged| staged.map(NativeStagedCommit::from),
        )
    }

    /// Builds a lost commit again, from its `intent`; null when nothing is left to do.
    #[napi(ts_return_type = "Promise<NativeStagedCommit | null>", catch_unwind)]
    pub fn restage_commit<'env>(
        &self,
        env: &'env Env,
        id: Uint8Array,
        intent: Uint8Array,
    ) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.restage_commit(&id.0, &intent.0),
            |staged| staged.map(NativeStagedCommit::from),
        )
    }

    /// The commit staged now.
    #[napi(ts_return_type = "Promise<NativeStagedCommit | null>", catch_unwind)]
    pub fn staged_commit<'env>(&self, env: &'env Env, id: Uint8Array) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.staged_commit(&id.0),
            |staged| staged.map(NativeStagedCommit::from),
        )
    }

    /// Counts one more send.
    #[napi(ts_return_type = "Promise<number>", catch_unwind)]
    pub fn count_attempt<'env>(&self, env: &'env Env, id: Uint8Array, commit: String) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.count_attempt(&id.0, &commit_id(&commit)?),
            |attempts| attempts,
        )
    }

    /// Merges an accepted commit.
    #[napi(ts_return_type = "Promise<NativeMerged>", catch_unwind)]
    pub fn merge_commit<'env>(
        &self,
        env: &'env Env,
        id: Uint8Array,
        commit: String,
        handshakes_only: bool,
    ) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.merge_commit(&id.0, &commit_id(&commit)?, handshakes_only),
            NativeMerged::from,
        )
    }

    /// Drops a commit that was refused for good.
    #[napi(ts_return_type = "Promise<boolean>", catch_unwind)]
    pub fn clear_commit<'env>(&self, env: &'env Env, id: Uint8Array, commit: String) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.clear_commit(&id.0, &commit_id(&commit)?),
            |cleared| cleared,
        )
    }

    /// Stores why a commit stays open.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn mark_unsettled<'env>(
        &self,
        env: &'env Env,
        id: Uint8Array,
        commit: String,
        #[napi(ts_arg_type = "\"unknown\" | \"exhausted\"")] why: String,
    ) -> napi::Result<Object<'env>> {
        let why = if why == "exhausted" {
            Why::Exhausted
        } else {
            Why::Unknown
        };
        self.step(
            env,
            move |session| session.mark_unsettled(&id.0, &commit_id(&commit)?, why),
            |()| (),
        )
    }

    /// All staged commits.
    #[napi(ts_return_type = "Promise<Array<NativeUnsettledCommit>>", catch_unwind)]
    pub fn unsettled_commits<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.step(
            env,
            |session| session.unsettled_commits(),
            converted::<_, NativeUnsettledCommit>,
        )
    }
}
