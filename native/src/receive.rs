//! Receiving.

use conclave_core::conversation::commit::Settled;
use conclave_core::conversation::receive::ReceiveOptions;
use conclave_core::conversation::received::{Ignored, Receipt, Received, Unreadable, WaitingFor, What};
use conclave_core::id::{display_id, hex};
use napi::Env;
use napi::bindgen_prelude::{BigInt, Object};
use napi_derive::napi;

use crate::bytes::Uint8Array;
use crate::conversation::NativeStalled;
use crate::database::NativeDatabase;
use crate::key_package::milliseconds;
use crate::member::{NativeChange, NativeMember, converted};

/// One thing that came of receiving; which fields are set follows from the type.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeReceived {
    #[napi(
        js_name = "type",
        ts_type = "\"welcome\" | \"rejected\" | \"message\" | \"commit\" | \"proposal\" | \"waiting\" | \"ignored\" | \"unreadable\""
    )]
    pub kind: String,
    pub message_id: String,
    pub conversation_id: Option<String>,
    pub epoch: Option<BigInt>,
    pub code: Option<String>,
    pub reason: Option<String>,
    pub sender: Option<NativeMember>,
    pub plaintext: Option<Uint8Array>,
    pub aad: Option<Uint8Array>,
    pub own: Option<bool>,
    pub change: Option<NativeChange>,
    pub active: Option<bool>,
    pub commit_after_ms: Option<u32>,
    #[napi(ts_type = "\"commit\" | \"proposal\" | \"welcome\"")]
    pub waiting_for: Option<String>,
    pub since_ms: Option<f64>,
    pub count: Option<u32>,
    #[napi(
        ts_type = "\"duplicate\" | \"own\" | \"stale-handshake\" | \"epoch-too-old\" | \"outside-window\" | \"removed\" | \"evicted\""
    )]
    pub why: Option<String>,
}

impl From<Received> for NativeReceived {
    fn from(received: Received) -> Self {
        let framed = received.conversation_id.is_some();
        let mut native = NativeReceived {
            message_id: hex(&received.message_id),
            conversation_id: received.conversation_id.as_deref().map(display_id),
            epoch: framed.then(|| received.epoch.into()),
            ..NativeReceived::default()
        };
        let kind = match received.what {
            What::Welcome => "welcome",
            What::Rejected(code, reason) => {
                native.code = Some(code.as_str().to_owned());
                native.reason = Some(reason.to_owned());
                "rejected"
            }
            What::Message { sender, plaintext, aad } => {
                native.sender = Some(sender.into());
                native.plaintext = Some(Uint8Array(plaintext));
                native.aad = Some(Uint8Array(aad));
                "message"
            }
            What::Commit {
                by,
                own,
                change,
                active,
            } => {
                native.sender = by.map(NativeMember::from);
                native.own = Some(own);
                native.change = Some(change.into());
                native.active = Some(active);
                "commit"
            }
            What::Proposal {
                by,
                change,
                commit_after_ms,
            } => {
                native.sender = by.map(NativeMember::from);
                native.change = Some(change.into());
                native.commit_after_ms = Some(commit_after_ms);
                "proposal"
            }
            What::Waiting { on, since_ms, count } => {
                native.waiting_for = Some(waiting_for(on).to_owned());
                native.since_ms = Some(milliseconds(since_ms));
                native.count = u32::try_from(count).ok();
                "waiting"
            }
            What::Ignored(why) => {
                native.why = Some(ignored(why).to_owned());
                "ignored"
            }
            What::Unreadable(why) => {
                native.why = Some(unreadable(why).to_owned());
                "unreadable"
            }
        };
        native.kind = kind.to_owned();
        native
    }
}

fn waiting_for(on: WaitingFor) -> &'static str {
    match on {
        WaitingFor::Commit => "commit",
        WaitingFor::Proposal => "proposal",
        WaitingFor::Welcome => "welcome",
    }
}

fn ignored(why: Ignored) -> &'static str {
    match why {
        Ignored::Duplicate => "duplicate",
        Ignored::Own => "own",
        Ignored::StaleHandshake => "stale-handshake",
    }
}

fn unreadable(why: Unreadable) -> &'static str {
    match why {
        Unreadable::EpochTooOld => "epoch-too-old",
        Unreadable::OutsideWindow => "outside-window",
        Unreadable::Removed => "removed",
        Unreadable::Evicted => "evicted",
    }
}

/// An own commit whose fate was learnt.
#[napi(object, object_from_js = false)]
pub struct NativeSettled {
    pub conversation_id: String,
    pub commit_id: String,
    #[napi(ts_type = "\"merged\" | \"lost\"")]
    pub outcome: String,
    pub change: NativeChange,
}

impl From<Settled> for NativeSettled {
    fn from(settled: Settled) -> Self {
        NativeSettled {
            conversation_id: display_id(&settled.conversation_id),
            commit_id: hex(&settled.commit_id),
            outcome: if settled.merged { "merged" } else { "lost" }.to_owned(),
            change: settled.change.into(),
        }
    }
}

/// What came of a batch.
#[napi(object, object_from_js = false)]
pub struct NativeReceipt {
    pub received: Vec<NativeReceived>,
    pub settled: Vec<NativeSettled>,
    pub stalled: Vec<NativeStalled>,
}

impl From<Receipt> for NativeReceipt {
    fn from(receipt: Receipt) -> Self {
        NativeReceipt {
            received: converted(receipt.received),
            settled: converted(receipt.settled),
            stalled: converted(receipt.stalled),
        }
    }
}

/// How to receive.
#[napi(object, object_to_js = false)]
pub struct NativeReceiveOptions {
    pub handshakes_only: bool,
    pub from_log: Option<bool>,
    pub only: Option<Uint8Array>,
}

#[napi]
impl NativeDatabase {
    /// Receives a batch.
    #[napi(ts_return_type = "Promise<NativeReceipt>", catch_unwind)]
    pub fn receive<'env>(
        &self,
        env: &'env Env,
        messages: Vec<Uint8Array>,
        options: NativeReceiveOptions,
    ) -> napi::Result<Object<'env>> {
        let messages: Vec<Vec<u8>> = messages.into_iter().map(|message| message.0).collect();
        let options = ReceiveOptions {
            handshakes_only: options.handshakes_only,
            from_log: options.from_log.unwrap_or(false),
            only: options.only.map(|only| only.0),
        };
        self.step(
            env,
            move |session| session.receive(&messages, &options),
            NativeReceipt::from,
        )
    }
}
