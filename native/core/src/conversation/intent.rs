//! What the caller of a commit asked for, kept so that a lost commit can be built again at a later epoch.

use std::collections::HashSet;

use openmls::prelude::{KeyPackage, LeafNodeIndex};
use openmls_traits::OpenMlsProvider;
use serde::{Deserialize, Serialize};

use crate::conversation::Conversation;
use crate::conversation::admit::{Door, Refusal, Roster};
use crate::conversation::commit::Request;
use crate::conversation::past::PastMembers;
use crate::credential::CredentialRow;
use crate::error::{Code, Error, Result};
use crate::key_package::lifetime::refuses_to_add;
use crate::key_package::others::{mismatch, unusable, validated};
use crate::key_package::reference_of;
use crate::limits::MAX_LIST;
use crate::member::{Member, identity, member_at, members};

/// A key package, and the client it must belong to where the caller knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invitee {
    /// An MLSMessage with a KeyPackage.
    #[serde(with = "serde_bytes")]
    pub key_package: Vec<u8>,
    /// The identity that its credential must carry.
    pub client_id: Option<Vec<u8>>,
}

/// Names a leaf: by client id and signature key, or by a client id alone, which stands for every leaf of that name.
#[derive(Clone, Debug)]
pub struct LeafName {
    /// The identity in its credential.
    pub client_id: Vec<u8>,
    /// Its public signature key.
    pub signature_key: Option<Vec<u8>>,
}

impl LeafName {
    fn names(&self, member: &Member) -> bool {
        let by_key = self
            .signature_key
            .as_ref()
            .is_none_or(|key| *key == member.signature_key);
        by_key && member.client_id == self.client_id
    }
}

impl From<&[u8]> for LeafName {
    fn from(client_id: &[u8]) -> Self {
        LeafName {
            client_id: client_id.to_vec(),
            signature_key: None,
        }
    }
}

/// A [`Request`] as it is kept, to build a lost commit again. It names the leaves to remove as they were when the caller asked,
/// not a client that bears the name later.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Intent {
    add: Vec<Invitee>,
    remove: Vec<Member>,
    /// The epoch in which the caller asked.
    since: u64,
    credential: Option<serde_bytes::ByteBuf>,
    update: bool,
    pending: bool,
}

/// The part of an intent that is left to do in the present epoch. New keys come with every commit.
#[derive(Clone, Default)]
pub(crate) struct Work {
    pub(crate) adds: Vec<Addition>,
    pub(crate) removes: Vec<LeafNodeIndex>,
    /// The reference of a credential other than the present one.
    pub(crate) credential: Option<Vec<u8>>,
}

/// Somebody to add.
#[derive(Clone)]
pub(crate) struct Addition {
    /// The place in the caller's list.
    pub(crate) index: usize,
    pub(crate) key_package: KeyPackage,
}

impl Conversation<'_> {
    /// The request as it is kept. Fails with `NOT_A_MEMBER` for leaves to remove that are not there, and for oneself.
    pub(crate) fn intend(&self, request: Request) -> Result<Intent> {
        let Request {
            add,
            remove,
            credential,
            update,
            pending,
        } = request;
        if add.is_empty() && remove.is_empty() && credential.is_none() && !update && !pending {
            return Err(Error::invalid(
                "A commit is asked for that is to do nothing. Say what to add, remove or renew.",
            ));
        }
        check_length("key packages", add.len())?;
        check_length("members to remove", remove.len())?;
        Ok(Intent {
            add,
            remove: self.named(&remove)?,
            since: self.epoch(),
            credential: credential.map(serde_bytes::ByteBuf::from),
            update,
            pending,
        })
    }

    /// The leaves to remove, as they are now.
    fn named(&self, leaves: &[LeafName]) -> Result<Vec<Member>> {
        let all = members(&self.group);
        let mut removed: Vec<Member> = Vec::new();
        for (index, leaf) in leaves.iter().enumerate() {
            let found: Vec<&Member> = all.iter().filter(|member| leaf.names(member)).collect();
            if found.is_empty() {
                return Err(Error::new(
                    Code::NotAMember,
                    "A client to remove is not a member of this conversation. Look at members().",
                )
                .at_index(index));
            }
            if found
                .iter()
                .any(|member| member.leaf_index == self.group.own_leaf_index().u32())
            {
                return Err(Error::invalid(
                    "A client cannot remove itself by its own commit (RFC 9420 section 12.2). Ask another member to do it. To \
                     remove another leaf of the same name, name it by its signature key.",
                )
                .at_index(index));
            }
            if found.iter().any(|member| removed.contains(member)) {
                return Err(
                    Error::invalid("A leaf is named twice in the list of members to remove. Name it once.")
                        .at_index(index),
                );
            }
            removed.extend(found.into_iter().cloned());
        }
        Ok(removed)
    }

    /// What is left to do of an intent, if anything. `first` is the caller's own call, where a member already present is a mistake; on a
    /// later attempt it is simply done already.
    pub(crate) fn work_of(&self, intent: &Intent, first: bool) -> Result<Option<Work>> {
        let removes = self.removes(&intent.remove, intent.since)?;
        let adds = self.adds(intent, first, &removes)?;
        let credential = intent.credential.as_deref();
        let credential = credential
            .map(|reference| self.other_credential(reference))
            .transpose()?;
        // Also when none of the proposals fits: they end with the epoch, and until then nobody may send.
        let pending = intent.pending && self.group.has_pending_proposals() && !self.leaves_commit_to_others();
        let left = intent.update || pending || credential.is_some() || !adds.is_empty() || !removes.is_empty();
        Ok(left.then(|| Work {
            adds,
            removes,
            credential: credential.flatten(),
        }))
    }

    /// The key packages of those who are still to be added, once these leaves are gone.
    fn adds(&self, intent: &Intent, first: bool, gone: &[LeafNodeIndex]) -> Result<Vec<Addition>> {
        let gone: HashSet<LeafNodeIndex> = gone.iter().copied().collect();
        let (mut present, past) = (members(&self.group), self.past_members()?);
        present.retain(|member| !gone.contains(&LeafNodeIndex::new(member.leaf_index)));
        let mut roster = Roster::of(&self.group, &gone);
        let mut added = Vec::new();
        for (index, invitee) in intent.add.iter().enumerate() {
            let package = self
                .addition(invitee, first, (&present, &past), &mut roster)
                .map_err(|error| error.at_index(index))?;
            added.extend(package.map(|key_package| Addition { index, key_package }));
        }
        Ok(added)
    }

    /// The key package to add an invitee by; `None` for one who is there by now.
    fn addition(
        &self,
        invitee: &Invitee,
        first: bool,
        (present, past): (&[Member], &PastMembers),
        roster: &mut Roster,
    ) -> Result<Option<KeyPackage>> {
        let package = validated(self.provider.crypto(), &invitee.key_package, self.group.ciphersuite())?;
        let client_id = identity(package.leaf_node().credential());
        if invitee
            .client_id
            .as_ref()
            .is_some_and(|expected| *expected != client_id)
        {
            return Err(mismatch("it belongs to another client than the one named with it"));
        }
        let signature_key = package.leaf_node().signature_key().as_slice();
        let namesake = present.iter().find(|member| member.client_id == client_id);
        // With another key by now it is the same client all the same.
        let has_changed = namesake.is_some_and(|member| past.has_borne(member, signature_key));
        let is_member = has_changed || present.iter().any(|member| member.signature_key == signature_key);
        if is_member && !first {
            return Ok(None);
        }
        if is_member {
            return Err(Error::new(
                Code::AlreadyMember,
                "A client to add is a member already: its signature key is in the conversation. Leave it out.",
            ));
        }
        if let Err(refusal) = roster.admit(package.leaf_node(), Door::Add) {
            return Err(not_admitted(refusal, namesake.is_some()));
        }
        // Each time that a commit is built: between the caller's call and this one months may have passed.
        if let Some(reason) = refuses_to_add(package.life_time(), self.provider.clock().now_secs()) {
            return Err(Error::new(Code::KeyPackageInvalid, reason));
        }
        Ok(Some(package))
    }

    /// This credential, unless it is the present one; fails with `CREDENTIAL_NOT_FOUND`, or `CIPHER_SUITE_UNSUPPORTED`.
    fn other_credential(&self, reference: &[u8]) -> Result<Option<Vec<u8>>> {
        if CredentialRow::load(self.provider, reference)?.suite()? != self.group.ciphersuite() {
            return Err(Error::new(
                Code::CipherSuiteUnsupported,
                "The credential is for another cipher suite than the conversation's. Add one of that suite.",
            ));
        }
        Ok((reference != self.row.credential).then(|| reference.to_vec()))
    }

    /// The leaves of those who are still here: the same signature key, or the same leaf with the same client id. One who was
    /// removed since and invited again is somebody the caller did not mean.
    fn removes(&self, targets: &[Member], since: u64) -> Result<Vec<LeafNodeIndex>> {
        let (present, past) = (members(&self.group), self.past_members()?);
        let mut leaves = Vec::new();
        for target in targets {
            if past.was_removed_since(target, since) {
                continue;
            }
            let by_key = present
                .iter()
                .find(|member| member.signature_key == target.signature_key)
                .cloned();
            let by_leaf = member_at(&self.group, LeafNodeIndex::new(target.leaf_index))
                .filter(|member| member.client_id == target.client_id);
            leaves.extend(by_key.or(by_leaf).map(|member| LeafNodeIndex::new(member.leaf_index)));
        }
        Ok(leaves)
    }

    /// Whom the Welcome of these additions goes to.
    pub(crate) fn welcome_to(&self, added: &[KeyPackage]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        added
            .iter()
            .map(|package| {
                Ok((
                    identity(package.leaf_node().credential()),
                    reference_of(self.provider.crypto(), package)?,
                ))
            })
            .collect()
    }
}

fn check_length(what: &str, length: usize) -> Result<()> {
    if length > MAX_LIST {
        return Err(Error::invalid(format!(
            "The list of {what} has {length} entries; at most {MAX_LIST} fit one commit."
        )));
    }
    Ok(())
}

/// Why a client is not to be added whose key is not in the conversation. `named`: a member bears its name.
fn not_admitted(refusal: Refusal, named: bool) -> Error {
    let message = match refusal {
        Refusal::NameTaken if named => {
            "A member bears the name of a client to add, with another signature key. To let this client in anew, remove that \
             member first."
        }
        Refusal::NameTaken => "Two clients of one name are in the list. Name each client once.",
        Refusal::KeyTaken => {
            "Two key packages in the list have the same signature key. Name each client once, by one key package of its own."
        }
        Refusal::Opens => {
            return unusable("it would open the conversation to clients outside");
        }
        Refusal::NameTooLong => return unusable("the client id in it is longer than any that is accepted"),
        Refusal::Credential | Refusal::OtherName | Refusal::NotItsLeaf => {
            return Error::internal(refusal.reason(Door::Add));
        }
    };
    Error::new(Code::AlreadyMember, message)
}
