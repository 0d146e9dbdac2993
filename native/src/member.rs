//! Members and changes.

use conclave_core::conversation::context::RequirementsPatch;
use conclave_core::id::display_id;
use conclave_core::member::{Change, Member, OtherChange};
use napi_derive::napi;

use crate::bytes::Uint8Array;

/// One leaf of the group's tree.
#[napi(object, object_from_js = false)]
pub struct NativeMember {
    pub client_id: String,
    pub leaf_index: u32,
    pub signature_key: Uint8Array,
    pub credential_type: u16,
}

/// What a commit or proposal changes.
#[napi(object, object_from_js = false)]
pub struct NativeChange {
    pub added: Vec<NativeMember>,
    pub removed: Vec<NativeMember>,
    pub updated: Vec<NativeMember>,
    pub other: Vec<NativeOtherChange>,
}

/// A change of the group context.
#[napi(object, object_from_js = false)]
pub struct NativeOtherChange {
    #[napi(ts_type = "\"context\"")]
    pub kind: String,
    pub extensions: Vec<NativeExtension>,
    /// Set when the requirements become this; with nothing in it they are dropped.
    pub requirements: Option<NativeRequirements>,
}

/// An extension that is set, or taken away where it has no data.
#[napi(object, object_from_js = false)]
pub struct NativeExtension {
    pub extension_type: u16,
    pub data: Option<Uint8Array>,
}

/// What all members must be able to do; each is missing where nothing is required any more.
#[napi(object, object_from_js = false)]
pub struct NativeRequirements {
    pub extensions: Option<Vec<u16>>,
    pub proposals: Option<Vec<u16>>,
    pub credentials: Option<Vec<u16>>,
}

impl From<OtherChange> for NativeOtherChange {
    fn from(OtherChange::Context(patch): OtherChange) -> Self {
        let extensions = patch
            .extensions
            .into_iter()
            .map(|(extension_type, data)| NativeExtension {
                extension_type,
                data: data.map(|data| Uint8Array(data.into_vec())),
            });
        let requirements = match patch.requirements {
            RequirementsPatch::Kept => None,
            RequirementsPatch::Set(required) => Some(NativeRequirements {
                extensions: Some(required.extensions),
                proposals: Some(required.proposals),
                credentials: Some(required.credentials),
            }),
            RequirementsPatch::Dropped => Some(NativeRequirements {
                extensions: None,
                proposals: None,
                credentials: None,
            }),
        };
        NativeOtherChange {
            kind: "context".to_owned(),
            extensions: extensions.collect(),
            requirements,
        }
    }
}

impl From<Member> for NativeMember {
    fn from(member: Member) -> Self {
        NativeMember {
            client_id: display_id(&member.client_id),
            leaf_index: member.leaf_index,
            signature_key: Uint8Array(member.signature_key),
            credential_type: member.credential_type,
        }
    }
}

impl From<Change> for NativeChange {
    fn from(change: Change) -> Self {
        NativeChange {
            added: converted(change.added),
            removed: converted(change.removed),
            updated: converted(change.updated),
            other: converted(change.other),
        }
    }
}

/// Each of them converted.
pub(crate) fn converted<A, B: From<A>>(all: Vec<A>) -> Vec<B> {
    all.into_iter().map(B::from).collect()
}
