//! Members and changes.

use conclave_core::id::display_id;
use conclave_core::member::{Change, Member};
use napi_derive::napi;

use crate::bytes::Uint8Array;

/// One leaf of the group's tree.
#[napi(object, object_from_js = false)]
pub struct NativeMember {
    pub client_id: String,
    pub leaf_index: u32,
    pub signature_key: Uint8Array,
}

/// What a commit or proposal changes.
#[napi(object, object_from_js = false)]
pub struct NativeChange {
    pub added: Vec<NativeMember>,
    pub removed: Vec<NativeMember>,
    pub updated: Vec<NativeMember>,
}

impl From<Member> for NativeMember {
    fn from(member: Member) -> Self {
        NativeMember {
            client_id: display_id(&member.client_id),
            leaf_index: member.leaf_index,
            signature_key: Uint8Array(member.signature_key),
        }
    }
}

impl From<Change> for NativeChange {
    fn from(change: Change) -> Self {
        NativeChange {
            added: converted(change.added),
            removed: converted(change.removed),
            updated: converted(change.updated),
        }
    }
}

/// Each of them converted.
pub(crate) fn converted<A, B: From<A>>(all: Vec<A>) -> Vec<B> {
    all.into_iter().map(B::from).collect()
}
