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

/// What a commit is for; the field that the kind names is set.
#[napi(object, object_to_js = false)]
pub struct NativeIntent {
    #[napi(ts_type = "\"add\" | \"remove\" | \"update\" | \"credential\" | \"pending-proposals\" | \"again\"")]
    pub kind: String,
    pub invitees: Option<Vec<NativeInvitee>>,
    pub leaves: Option<Vec<NativeLeafName>>,
    pub credential_ref: Option<String>,
    pub again: Option<Uint8Array>,
}

impl NativeIntent {
    fn request(self) -> Result<Request> {
        Ok(match self.kind.as_str() {
            "add" => Request::Add(converted(self.invitees.unwrap_or_default())),
            "remove" => Request::Remove(converted(self.leaves.unwrap_or_default())),
            "update" => Request::Update,
            "credential" => Request::Credential(reference(&self.credential_ref.unwrap_or_default())?),
            "pending-proposals" => Request::PendingProposals,
            "again" => Request::Again(self.again.map(|intent| intent.0).unwrap_or_default()),
            _ => return Err(Error::internal("an unknown kind of commit was asked for")),
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
        intent: NativeIntent,
    ) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.stage_commit(&id.0, intent.request()?),
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
