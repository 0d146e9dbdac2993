//! Reading the framing of a message without any state.

use conclave_core::id::display_id;
use conclave_core::inspect::{Inspection, Kind};
use napi::Env;
use napi::bindgen_prelude::BigInt;
use napi_derive::napi;

use crate::bytes::Uint8Array;
use crate::error::rejection;

/// What the framing tells.
#[napi(object, object_from_js = false)]
pub struct NativeInspection {
    #[napi(ts_type = "\"message\" | \"proposal\" | \"commit\" | \"welcome\" | \"group-info\" | \"key-package\"")]
    pub kind: String,
    pub encrypted: bool,
    pub external: bool,
    pub external_join: Option<bool>,
    pub conversation_id: Option<String>,
    pub epoch: Option<BigInt>,
    pub cipher_suite: Option<u16>,
}

impl From<Inspection> for NativeInspection {
    fn from(inspection: Inspection) -> Self {
        let kind = match inspection.kind {
            Kind::Message => "message",
            Kind::Proposal => "proposal",
            Kind::Commit => "commit",
            Kind::Welcome => "welcome",
            Kind::GroupInfo => "group-info",
            Kind::KeyPackage => "key-package",
        };
        NativeInspection {
            kind: kind.to_owned(),
            encrypted: inspection.encrypted,
            external: inspection.external,
            external_join: inspection.external_join,
            conversation_id: inspection.conversation_id.as_deref().map(display_id),
            epoch: inspection.epoch.map(BigInt::from),
            cipher_suite: inspection.cipher_suite,
        }
    }
}

/// Reads the framing; throws with code `MESSAGE_INVALID`.
#[napi(catch_unwind)]
pub fn inspect_message(env: &Env, bytes: Uint8Array) -> napi::Result<NativeInspection> {
    conclave_core::inspect::inspect_message(&bytes.0)
        .map(NativeInspection::from)
        .map_err(|error| rejection(env, &error))
}
