//! Creating and joining conversations, sending, and what can be asked about them.

use conclave_core::conversation::info::{ConversationState, Membership};
use conclave_core::conversation::join::Joined;
use conclave_core::conversation::stalled::{StallCause, StalledNow};
use conclave_core::error::Error;
use conclave_core::id::{display_id, hex};
use napi::Env;
use napi::bindgen_prelude::{BigInt, Object};
use napi_derive::napi;

use crate::bytes::Uint8Array;
use crate::commit::{NativeInvitee, NativeStagedCommit};
use crate::credential::{NativeCredential, reference};
use crate::database::NativeDatabase;
use crate::member::{NativeMember, converted};
use crate::receive::{NativeReceived, NativeSettled};

/// A conversation just joined.
#[napi(object, object_from_js = false)]
pub struct NativeJoined {
    pub conversation_id: String,
    pub epoch: BigInt,
    pub members: Vec<NativeMember>,
    pub inviter: NativeMember,
    pub last_resort: bool,
    pub cipher_suite: u16,
    pub received: Vec<NativeReceived>,
    pub settled: Vec<NativeSettled>,
    pub stalled: Vec<NativeStalled>,
    pub again: bool,
}

impl From<Joined> for NativeJoined {
    fn from(joined: Joined) -> Self {
        NativeJoined {
            conversation_id: display_id(&joined.conversation_id),
            epoch: joined.epoch.into(),
            members: converted(joined.members),
            inviter: joined.inviter.into(),
            last_resort: joined.last_resort,
            cipher_suite: joined.cipher_suite,
            received: converted(joined.received),
            settled: converted(joined.settled),
            stalled: converted(joined.stalled),
            again: joined.again,
        }
    }
}

/// The commit that a conversation is stalled by.
#[napi(object, object_from_js = false)]
pub struct NativeStalled {
    pub conversation_id: String,
    #[napi(ts_type = "\"refused\" | \"invalid\"")]
    pub why: String,
    pub epoch: BigInt,
    pub message_id: String,
    pub reason: String,
}

impl From<StalledNow> for NativeStalled {
    fn from(now: StalledNow) -> Self {
        let why = match now.stalled.why {
            StallCause::Refused => "refused",
            StallCause::Invalid => "invalid",
        };
        NativeStalled {
            conversation_id: display_id(&now.conversation_id),
            why: why.to_owned(),
            epoch: now.stalled.epoch.into(),
            message_id: hex(&now.stalled.message_id),
            reason: now.stalled.reason,
        }
    }
}

/// What is known of a conversation at this moment.
#[napi(object, object_from_js = false)]
pub struct NativeConversationState {
    pub epoch: BigInt,
    #[napi(ts_type = "\"founding\" | \"member\" | \"joining\" | \"removed\"")]
    pub membership: String,
    pub credential: Option<NativeCredential>,
    pub pending_proposals: u32,
    pub unsettled_commit: bool,
    pub waiting: u32,
    pub stalled: Option<NativeStalled>,
    pub renewal_due: bool,
    pub external_join: bool,
}

impl From<ConversationState> for NativeConversationState {
    fn from(state: ConversationState) -> Self {
        let membership = match state.membership {
            Membership::Founding => "founding",
            Membership::Member => "member",
            Membership::Joining => "joining",
            Membership::Removed => "removed",
        };
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        NativeConversationState {
            epoch: state.epoch.into(),
            membership: membership.to_owned(),
            credential: state.credential.map(NativeCredential::from),
            pending_proposals: count(state.pending_proposals),
            unsettled_commit: state.unsettled_commit,
            waiting: count(state.waiting),
            stalled: state.stalled.map(NativeStalled::from),
            renewal_due: state.renewal_due,
            external_join: state.external_join,
        }
    }
}

#[napi]
impl NativeDatabase {
    /// Creates a conversation with this client alone.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn create_conversation<'env>(
        &self,
        env: &'env Env,
        id: Uint8Array,
        credential_ref: String,
        external_join: bool,
    ) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.create_conversation(&id.0, &reference(&credential_ref)?, external_join),
            |()| (),
        )
    }

    /// Creates a conversation and stages the commit that founds it.
    #[napi(ts_return_type = "Promise<NativeStagedCommit>", catch_unwind)]
    pub fn stage_create<'env>(
        &self,
        env: &'env Env,
        id: Uint8Array,
        credential_ref: String,
        invitees: Vec<NativeInvitee>,
        external_join: bool,
    ) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| {
                session.stage_create(&id.0, &reference(&credential_ref)?, converted(invitees), external_join)
            },
            NativeStagedCommit::from,
        )
    }

    /// Joins by a Welcome.
    #[napi(ts_return_type = "Promise<NativeJoined>", catch_unwind)]
    pub fn join_by_welcome<'env>(
        &self,
        env: &'env Env,
        welcome: Uint8Array,
        ratchet_tree: Option<Uint8Array>,
        allow_rollback: bool,
    ) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| {
                let ratchet_tree = ratchet_tree.as_ref().map(|tree| &tree.0[..]);
                session.join_by_welcome_and_tree(&welcome.0, ratchet_tree, allow_rollback)
            },
            NativeJoined::from,
        )
    }

    /// Encrypts an application message.
    #[napi(ts_return_type = "Promise<Uint8Array>", catch_unwind)]
    pub fn encrypt<'env>(
        &self,
        env: &'env Env,
        id: Uint8Array,
        plaintext: Uint8Array,
        aad: Option<Uint8Array>,
    ) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.encrypt(&id.0, &plaintext.0, aad.as_ref().map_or(&[], |aad| &aad.0)),
            Uint8Array,
        )
    }

    /// The present epoch.
    #[napi(ts_return_type = "Promise<bigint>", catch_unwind)]
    pub fn epoch<'env>(&self, env: &'env Env, id: Uint8Array) -> napi::Result<Object<'env>> {
        self.step(env, move |session| session.epoch(&id.0), BigInt::from)
    }

    /// Everybody in the conversation.
    #[napi(ts_return_type = "Promise<Array<NativeMember>>", catch_unwind)]
    pub fn members<'env>(&self, env: &'env Env, id: Uint8Array) -> napi::Result<Object<'env>> {
        self.step(env, move |session| session.members(&id.0), converted::<_, NativeMember>)
    }

    /// Whether this client is a member.
    #[napi(ts_return_type = "Promise<boolean>", catch_unwind)]
    pub fn active<'env>(&self, env: &'env Env, id: Uint8Array) -> napi::Result<Object<'env>> {
        self.step(env, move |session| session.active(&id.0), |active| active)
    }

    /// The oldest epoch whose messages can still be read.
    #[napi(ts_return_type = "Promise<bigint>", catch_unwind)]
    pub fn oldest_readable_epoch<'env>(&self, env: &'env Env, id: Uint8Array) -> napi::Result<Object<'env>> {
        self.step(env, move |session| session.oldest_readable_epoch(&id.0), BigInt::from)
    }

    /// The GroupInfo of the present epoch.
    #[napi(ts_return_type = "Promise<Uint8Array>", catch_unwind)]
    pub fn group_info<'env>(&self, env: &'env Env, id: Uint8Array) -> napi::Result<Object<'env>> {
        self.step(env, move |session| session.group_info(&id.0), Uint8Array)
    }

    /// A secret that all members can derive.
    #[napi(ts_return_type = "Promise<Uint8Array>", catch_unwind)]
    pub fn export_secret<'env>(
        &self,
        env: &'env Env,
        id: Uint8Array,
        label: String,
        context: Uint8Array,
        length: u32,
    ) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| {
                let length = usize::try_from(length).map_err(|_| Error::invalid("That is too long a secret."))?;
                session.export_secret(&id.0, &label, &context.0, length)
            },
            Uint8Array,
        )
    }

    /// The epoch authenticator.
    #[napi(ts_return_type = "Promise<Uint8Array>", catch_unwind)]
    pub fn epoch_authenticator<'env>(&self, env: &'env Env, id: Uint8Array) -> napi::Result<Object<'env>> {
        self.step(env, move |session| session.epoch_authenticator(&id.0), Uint8Array)
    }

    /// What is known of a conversation at this moment.
    #[napi(ts_return_type = "Promise<NativeConversationState>", catch_unwind)]
    pub fn conversation_state<'env>(&self, env: &'env Env, id: Uint8Array) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.conversation_state(&id.0),
            NativeConversationState::from,
        )
    }

    /// The ids of all conversations.
    #[napi(ts_return_type = "Promise<Array<string>>", catch_unwind)]
    pub fn conversations<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.step(
            env,
            |session| session.conversations(),
            |ids| ids.iter().map(|id| display_id(id)).collect::<Vec<_>>(),
        )
    }

    /// Deletes a conversation here.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn wipe<'env>(&self, env: &'env Env, id: Uint8Array) -> napi::Result<Object<'env>> {
        self.step(env, move |session| session.wipe(&id.0), |()| ())
    }
}
