//! The gate: which leaves may come into a conversation, by whichever door.
//!
//! A name proves nothing: a basic credential is a bare assertion (RFC 9420 section 5.3). A leaf is
//! who it is by its signature key. Only the owner of a signature key replaces the leaf that bears
//! it, and a name that a leaf bears is not given to a second one.

use std::collections::{HashMap, HashSet};

use openmls::prelude::{CredentialType, LeafNode, LeafNodeIndex, MlsGroup};

use crate::conversation::external_join::{declares, is_open};
use crate::limits::MAX_ID_LENGTH;
use crate::member::{Member, identity, members};

/// The door that a leaf comes in by.
#[derive(Clone, Copy)]
pub(crate) enum Door<'a> {
    /// A new member, by its key package: in an Add proposal, or about to be added by this client.
    Add,
    /// A member takes a new leaf, by an Update proposal or by the path of its commit.
    Renewal(&'a Member),
    /// A client joins by an external commit, in the place of these leaves (RFC 9420 section 12.4.3.2).
    ExternalJoin(&'a [Member]),
}

/// Why a leaf is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The credential is of a kind that is not supported.
    Credential,
    /// The name is longer than any id.
    NameTooLong,
    /// A member would take another name.
    OtherName,
    /// Another leaf bears the name.
    NameTaken,
    /// Another leaf bears the signature key.
    KeyTaken,
    /// The leaf to be replaced has another signature key.
    NotItsLeaf,
    /// The leaf declares that clients may join from outside, which nobody has declared before.
    Opens,
}

impl Refusal {
    /// For people; `door` is where it was refused.
    pub(crate) fn reason(self, door: Door<'_>) -> &'static str {
        match (self, door) {
            (Refusal::Credential, Door::Add) => "A client is added whose credential is not a basic one.",
            (Refusal::Credential, Door::Renewal(_)) => "A member takes a credential that is not a basic one.",
            (Refusal::Credential, Door::ExternalJoin(_)) => {
                "A client tries to join from outside whose credential is not a basic one."
            }
            (Refusal::NameTooLong, _) => "A leaf has a client id of more than 4,096 bytes.",
            (Refusal::OtherName, Door::ExternalJoin(_)) => {
                "A client tries to join from outside in the place of its own leaf, under another name."
            }
            (Refusal::OtherName, _) => "A member tries to take another identity.",
            (Refusal::NameTaken, Door::ExternalJoin(_)) => {
                "A client tries to join from outside under the name of a member, with another signature key."
            }
            (Refusal::NameTaken, _) => "A second leaf is added under the name of a member.",
            (Refusal::KeyTaken, _) => "A leaf takes the signature key of another member.",
            (Refusal::Opens, _) => {
                "A leaf lets clients join from outside, which this conversation does not allow, for good."
            }
            (Refusal::NotItsLeaf, _) => {
                "A client tries to join from outside in the place of a member whose signature key it does not have."
            }
        }
    }
}

/// The names and signature keys that are in use.
#[derive(Default)]
pub(crate) struct Roster {
    /// How many leaves bear each name: a tree that was joined may have several of one name.
    names: HashMap<Vec<u8>, usize>,
    keys: HashSet<Vec<u8>>,
    /// Whether clients may join from outside.
    open: bool,
}

impl Roster {
    /// The members of this group, but for the leaves that go.
    pub(crate) fn of(group: &MlsGroup, gone: &HashSet<LeafNodeIndex>) -> Roster {
        let mut roster = Roster {
            open: is_open(group),
            ..Roster::default()
        };
        for member in members(group) {
            if !gone.contains(&LeafNodeIndex::new(member.leaf_index)) {
                roster.enter(member.client_id, member.signature_key);
            }
        }
        roster
    }

    /// Lets a leaf in, or says why not. A leaf that is refused changes nothing.
    pub(crate) fn admit(&mut self, leaf: &LeafNode, door: Door<'_>) -> Result<(), Refusal> {
        if leaf.credential().credential_type() != CredentialType::Basic {
            return Err(Refusal::Credential);
        }
        if leaf.credential().serialized_content().len() > MAX_ID_LENGTH {
            return Err(Refusal::NameTooLong);
        }
        if declares(leaf.extensions()) && !self.open {
            return Err(Refusal::Opens);
        }
        let (name, key) = (identity(leaf.credential()), leaf.signature_key().as_slice().to_vec());
        match door {
            Door::Add => self.admit_new(&name, &key)?,
            Door::Renewal(before) => {
                if name != before.client_id {
                    return Err(Refusal::OtherName);
                }
                if key != before.signature_key && self.keys.contains(&key) {
                    return Err(Refusal::KeyTaken);
                }
                self.leave(before);
            }
            Door::ExternalJoin(replaced) => {
                if replaced.iter().any(|member| member.signature_key != key) {
                    return Err(Refusal::NotItsLeaf);
                }
                if replaced.iter().any(|member| member.client_id != name) {
                    return Err(Refusal::OtherName);
                }
                self.admit_new(&name, &key)?;
            }
        }
        self.enter(name, key);
        Ok(())
    }

    fn admit_new(&self, name: &[u8], key: &[u8]) -> Result<(), Refusal> {
        if self.keys.contains(key) {
            return Err(Refusal::KeyTaken);
        }
        if self.names.contains_key(name) {
            return Err(Refusal::NameTaken);
        }
        Ok(())
    }

    fn enter(&mut self, name: Vec<u8>, key: Vec<u8>) {
        *self.names.entry(name).or_default() += 1;
        self.keys.insert(key);
    }

    fn leave(&mut self, member: &Member) {
        if let Some(count) = self.names.get_mut(&member.client_id) {
            *count -= 1;
            if *count == 0 {
                self.names.remove(&member.client_id);
            }
        }
        self.keys.remove(&member.signature_key);
    }
}
