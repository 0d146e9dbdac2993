//! Joining by an external commit.

use conclave_core::conversation::external_join::JoinFate;
use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;

use crate::bytes::Uint8Array;
use crate::commit::{NativeMerged, NativeStagedCommit, commit_id};
use crate::credential::reference;
use crate::database::NativeDatabase;

#[napi]
impl NativeDatabase {
    /// Builds an external commit and puts it aside.
    #[napi(ts_return_type = "Promise<NativeStagedCommit>", catch_unwind)]
    pub fn stage_external_join<'env>(
        &self,
        env: &'env Env,
        id: Uint8Array,
        credential_ref: String,
        group_info: Uint8Array,
        allow_rollback: bool,
    ) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| {
                session.stage_external_join(&id.0, &reference(&credential_ref)?, &group_info.0, allow_rollback)
            },
            NativeStagedCommit::from,
        )
    }

    /// The external commit that is pending.
    #[napi(ts_return_type = "Promise<NativeStagedCommit | null>", catch_unwind)]
    pub fn staged_join<'env>(&self, env: &'env Env, id: Uint8Array) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.staged_join(&id.0),
            |staged| staged.map(NativeStagedCommit::from),
        )
    }

    /// What a GroupInfo says about the pending join.
    #[napi(ts_return_type = "Promise<\"open\" | \"accepted\" | \"lost\">", catch_unwind)]
    pub fn judge_join<'env>(
        &self,
        env: &'env Env,
        id: Uint8Array,
        commit: String,
        group_info: Uint8Array,
    ) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.judge_join(&id.0, &commit_id(&commit)?, &group_info.0),
            |fate| match fate {
                JoinFate::Open => "open",
                JoinFate::Accepted => "accepted",
                JoinFate::Lost => "lost",
            },
        )
    }

    /// Makes an accepted external commit the conversation.
    #[napi(ts_return_type = "Promise<NativeMerged>", catch_unwind)]
    pub fn merge_join<'env>(
        &self,
        env: &'env Env,
        id: Uint8Array,
        commit: String,
        handshakes_only: bool,
    ) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.merge_join(&id.0, &commit_id(&commit)?, handshakes_only),
            NativeMerged::from,
        )
    }

    /// Drops an external commit that is never accepted.
    #[napi(ts_return_type = "Promise<boolean>", catch_unwind)]
    pub fn drop_join<'env>(&self, env: &'env Env, id: Uint8Array, commit: String) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.drop_join(&id.0, &commit_id(&commit)?),
            |dropped| dropped,
        )
    }
}
