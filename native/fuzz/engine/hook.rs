//! What a hostile member changes before it signs or encrypts.
//!
//! While a hook is set on a thread, OpenMLS shows it the bytes of everything that is signed and of
//! everything that is encrypted, takes what the hook makes of them, and leaves out its own checks
//! of proposals. So what comes out has right signatures, tags and ciphertexts over content that no
//! honest client makes. Without a hook nothing differs from the OpenMLS of the package.

use std::cell::RefCell;

use tls_codec::{DeserializeBytes, Serialize};

use crate::messages::proposals::Proposal;
use crate::messages::proposals_in::ProposalIn;

/// Where a hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A FramedContent (RFC 9420 section 6), before it is signed.
    Content,
    /// The fields of a leaf node (section 7.2), before it is signed.
    LeafNode,
    /// A GroupInfo without its signature (section 12.4.3), before it is signed.
    GroupInfo,
    /// The plaintext of a private message (section 6.3.1).
    PrivateContent,
    /// Its sender data (section 6.3.2).
    SenderData,
    /// The GroupInfo of a Welcome, with its signature.
    WelcomeInfo,
    /// The GroupSecrets of a Welcome (section 12.4.3.1).
    WelcomeSecrets,
}

type Hook = Box<dyn FnMut(Point, &mut Vec<u8>)>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Does the work with this hook set on the present thread, in the place of the one that is set.
pub fn with<R>(hook: impl FnMut(Point, &mut Vec<u8>) + 'static, work: impl FnOnce() -> R) -> R {
    struct Before(Option<Hook>);
    impl Drop for Before {
        fn drop(&mut self) {
            HOOK.set(self.0.take());
        }
    }
    let _before = Before(HOOK.replace(Some(Box::new(hook))));
    work()
}

/// The proposal with these bytes (section 12.1), unchecked.
pub fn proposal(bytes: &[u8]) -> Option<Proposal> {
    Some(ProposalIn::tls_deserialize_exact_bytes(bytes).ok()?.into())
}

pub(crate) fn is_on() -> bool {
    HOOK.with_borrow(|hook| hook.is_some())
}

pub(crate) fn bytes(point: Point, mut bytes: Vec<u8>) -> Vec<u8> {
    HOOK.with_borrow_mut(|hook| {
        if let Some(hook) = hook {
            hook(point, &mut bytes);
        }
    });
    bytes
}

/// The value that the hook makes of this one; the same where what it made is none.
pub(crate) fn value<T: Serialize, U: DeserializeBytes + Into<T>>(point: Point, value: T) -> T {
    if !is_on() {
        return value;
    }
    let Ok(before) = value.tls_serialize_detached() else {
        return value;
    };
    let after = bytes(point, before.clone());
    if after == before {
        return value;
    }
    U::tls_deserialize_exact_bytes(&after).map_or(value, Into::into)
}
