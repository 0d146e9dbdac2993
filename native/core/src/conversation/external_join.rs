//! Joining by an external commit (RFC 9420 section 12.4.3.2).
//!
//! OpenMLS merges such a commit as soon as it is built, and would overwrite a group of that id. So it is built on rows that
//! are put aside: until the delivery service has accepted it, all of it is one durable row outside everything that lives. A
//! conversation that is behind, removed or forked is replaced at that moment, and healed by it.

use std::collections::HashSet;

use openmls::group::{CreateCommitError, ExternalCommitBuilderFinalizeError};
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{
    Extension, Extensions, ExternalCommitBuilderError, LeafNode, LeafNodeParameters, MlsGroup, UnknownExtension,
};
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::StorageProvider as _;
use serde::{Deserialize, Serialize};
use tls_codec::Serialize as _;

use crate::codec::encode;
use crate::conversation::admit::{Door, Roster};
use crate::conversation::commit::{MergeOutcome, Merged, Settled, StagedCommit, Why};
use crate::conversation::group_info::{former_leaves, invalid, read_group_info};
use crate::conversation::known::{Fate, MessageId, message_id};
use crate::conversation::reasons::of_group_info;
use crate::conversation::received::{Receipt, Received, What};
use crate::conversation::stage::check_sizes;
use crate::conversation::{Conversation, ConversationRow, State, join_config, renewal, scope_of};
use crate::credential::CredentialRow;
use crate::error::{Code, Error, Result};
use crate::frame;
use crate::id::check_id;
use crate::key_package::capabilities;
use crate::keystore::{Entity, PutAside};
use crate::limits::{MAX_EPOCH, MAX_PUBLIC_MESSAGE};
use crate::member::{Change, Member, members};
use crate::provider::Provider;
use crate::session::Session;

/// The extension of a leaf that says that clients may join its conversation by an external commit.
///
/// It stands in leaves and not in the group context: the context's extensions are mandatory for every
/// member, those of leaves are not (RFC 9420 section 13.4), and clients of other makes are to be
/// members, too. The tree is the same for all, so all decide alike. The founder's leaf declares it, and
/// that of every client of this make that commits or joins from outside; nobody declares it later.
pub(crate) const EXTERNAL_JOIN: u16 = 0xF1C0;

/// What a leaf carries in a conversation that is open to clients outside, and in one that is not.
pub(crate) fn declaration(open: bool) -> Result<Extensions<LeafNode>> {
    let declared = Extension::Unknown(EXTERNAL_JOIN, UnknownExtension(vec![1]));
    if open {
        Extensions::single(declared).map_err(|cause| Error::internal("a leaf cannot be made").caused_by(cause))
    } else {
        Ok(Extensions::empty())
    }
}

/// Whether a leaf with these extensions declares that clients may join from outside.
pub(crate) fn declares(leaf: &Extensions<LeafNode>) -> bool {
    let value = leaf.unknown(EXTERNAL_JOIN);
    value.is_some_and(|UnknownExtension(value)| value.as_slice() == [1])
}

/// Whether a leaf in the tree of this GroupInfo declares it.
pub(crate) fn lets_join(info: &frame::GroupInfo<'_>) -> bool {
    info.has_leaf_with(EXTERNAL_JOIN, &[1])
}

/// Whether clients may join this group from outside.
pub(crate) fn is_open(group: &MlsGroup) -> bool {
    let mut leaves = group.treesync().full_leaves();
    leaves.any(|(_, leaf)| declares(leaf.extensions()))
}

/// An external commit that waits for its outcome. The group that it makes is in a row of its own,
/// and so is its [`Mark`]: neither the group nor the commit is read where the mark will do.
#[derive(Serialize, Deserialize)]
pub(crate) struct PendingJoin {
    pub(crate) staged: StagedCommit,
    pub(crate) credential: Vec<u8>,
    /// The encoded encryption key of the leaf it makes: whoever has it in its tree has accepted it.
    leaf_key: Vec<u8>,
    /// The encoded encryption keys of the leaves that it takes the place of.
    former_leaf_keys: Vec<Vec<u8>>,
}

/// The keys of the rows of a pending join.
const MARK: &[u8] = b"mark";
pub(crate) const JOIN: &[u8] = b"join";
const GROUP: &[u8] = b"group";

/// What is asked of a pending join with every message and epoch.
#[derive(Serialize, Deserialize)]
struct Mark {
    commit_id: MessageId,
    epoch: u64,
}

/// An external commit as it was built.
struct Built {
    staged: StagedCommit,
    leaf_key: Vec<u8>,
    former_leaf_keys: Vec<Vec<u8>>,
}

/// Whether the members let the leaf of this client in, in the place of those that it removes.
fn is_admitted(group: &MlsGroup, own: &LeafNode, replaced: &[Member]) -> bool {
    let own_index = HashSet::from([group.own_leaf_index()]);
    let mut others = Roster::of(group, &own_index);
    others.admit(own, Door::ExternalJoin(replaced)).is_ok()
}

/// What a newer GroupInfo says about a pending join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinFate {
    /// The conversation is where it was: the same bytes can be sent again.
    Open,
    /// This client is in its tree.
    Accepted,
    /// It went on without this client.
    Lost,
}

impl Session {
    /// Builds an external commit from the conversation's GroupInfo and puts it aside. Fails with `EXTERNAL_JOIN_REFUSED` for a
    /// conversation that does not allow it, and with `ROLLBACK_REFUSED` for a GroupInfo of an epoch before the newest that is
    /// known, unless `allow_rollback`.
    pub fn stage_external_join(
        &mut self,
        id: &[u8],
        credential: &[u8],
        group_info: &[u8],
        allow_rollback: bool,
    ) -> Result<StagedCommit> {
        check_id("conversation id", id)?;
        let scope = scope_of(id)?;
        if self.has_pending_join(&scope)? {
            return Err(Error::internal(
                "an external commit for this conversation is pending already",
            ));
        }
        let (info, open) = read_group_info(&self.provider, group_info)?;
        if info.group_id().as_slice() != id {
            return Err(invalid("it belongs to another conversation"));
        }
        if info.epoch().as_u64() > MAX_EPOCH {
            return Err(invalid("its epoch is larger than any that is accepted"));
        }
        if !open {
            return Err(Error::new(
                Code::ExternalJoinRefused,
                "The conversation does not allow external joins. Ask a member to add this client.",
            ));
        }
        self.refuse_rollback(&scope, info.epoch().as_u64(), allow_rollback)?;
        let row = CredentialRow::load(&self.provider, credential)?;
        if info.ciphersuite() != row.suite()? {
            return Err(invalid("it is of another cipher suite than the credential"));
        }
        let savepoint = self.provider.rows().savepoint();
        // Message secrets are written as what differs from those that are stored; what is put aside must not depend on these.
        self.provider.storage().delete_message_secrets(info.group_id())?;
        let built = self.build_external_commit(info, &row);
        let rows = self.provider.rows().put_aside(savepoint);
        let Built {
            staged,
            leaf_key,
            former_leaf_keys,
        } = built?;
        let pending = PendingJoin {
            staged,
            credential: credential.to_vec(),
            leaf_key,
            former_leaf_keys,
        };
        let mark = Mark {
            commit_id: pending.staged.commit_id,
            epoch: pending.staged.epoch,
        };
        self.provider.write(Entity::PendingJoin, &scope, MARK, &mark)?;
        self.provider.write(Entity::PendingJoin, &scope, GROUP, &rows)?;
        self.store_join(&scope, &pending)?;
        Ok(pending.staged)
    }

    fn build_external_commit(&self, info: VerifiableGroupInfo, row: &CredentialRow) -> Result<Built> {
        let epoch = info.epoch().as_u64();
        let (removed, former_leaf_keys): (Vec<Member>, Vec<_>) = former_leaves(&info, row)?.into_iter().unzip();
        let signer = row.signer(&self.provider)?;
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_config(join_config())
            .skip_lifetime_validation()
            .build_group(&self.provider, info, row.with_key())
            .map_err(|cause| match cause {
                ExternalCommitBuilderError::StorageError(error) => error,
                cause => invalid(of_group_info(&cause)).caused_by(cause),
            })?
            .leaf_node_parameters(
                LeafNodeParameters::builder()
                    .with_capabilities(capabilities(self.provider.crypto()))
                    .with_extensions(declaration(true)?)
                    .build(),
            )
            .load_psks(self.provider.storage())
            .map_err(no_commit)?
            .create_group_info(true)
            .use_ratchet_tree_extension(true)
            .build(self.provider.rand(), self.provider.crypto(), &signer, |_| true)
            .map_err(no_commit)?
            .finalize(&self.provider)
            .map_err(|cause| match cause {
                ExternalCommitBuilderFinalizeError::StorageError(error) => error,
                cause => Error::internal("the external commit could not be put aside").caused_by(cause),
            })?;
        let leaf = group
            .own_leaf_node()
            .ok_or_else(|| Error::internal("an external commit has no leaf"))?;
        let own = Member::of_leaf(group.own_leaf_index(), leaf);
        if !is_admitted(&group, leaf, &removed) {
            // The members would refuse it, and the delivery service cannot know: the conversation would stand still.
            return Err(Error::new(
                Code::AlreadyMember,
                "Somebody of this name is a member with another signature key. If it is this client, use the credential that it is known \
                 by; else ask a member to remove it first.",
            ));
        }
        let added = vec![own];
        let leaf_key = encode(leaf.encryption_key())?.to_vec();
        let unwritable = |cause: tls_codec::Error| Error::internal("the commit could not be written").caused_by(cause);
        let (commit, _, group_info) = bundle.into_messages();
        let commit = commit.tls_serialize_detached().map_err(unwritable)?;
        let group_info = group_info
            .ok_or_else(|| Error::internal("an external commit came without its GroupInfo"))?
            .tls_serialize_detached()
            .map_err(unwritable)?;
        check_sizes(commit.len(), MAX_PUBLIC_MESSAGE, group_info.len())?;
        let staged = StagedCommit {
            conversation_id: group.group_id().as_slice().to_vec(),
            epoch,
            commit_id: message_id(&commit),
            commit,
            welcome: None,
            group_info,
            welcome_to: Vec::new(),
            credential: None,
            change: Change {
                added,
                removed,
                ..Change::default()
            },
            intent: Vec::new(),
            attempts: 1,
            since_ms: self.provider.clock().now_ms(),
            why: Why::Restart,
        };
        Ok(Built {
            staged,
            leaf_key,
            former_leaf_keys,
        })
    }

    /// The external commit that is pending for this conversation.
    pub fn staged_join(&self, id: &[u8]) -> Result<Option<StagedCommit>> {
        check_id("conversation id", id)?;
        Ok(self.pending_join(&scope_of(id)?)?.map(|pending| pending.staged))
    }

    /// What a GroupInfo that was asked for later says about the pending join.
    pub fn judge_join(&self, id: &[u8], commit_id: &MessageId, group_info: &[u8]) -> Result<JoinFate> {
        let Some(pending) = self.pending_join_as(id, commit_id)? else {
            return Ok(JoinFate::Lost);
        };
        let (info, _) = read_group_info(&self.provider, group_info)?;
        if info.group_id().as_slice() != id {
            return Err(invalid("it belongs to another conversation"));
        }
        if info.epoch().as_u64() <= pending.staged.epoch {
            return Ok(JoinFate::Open);
        }
        let tree = info.extensions().ratchet_tree();
        let tree = tree.ok_or_else(|| invalid("it has no ratchet tree"))?.ratchet_tree();
        let mut keys = tree.leaves().map(|leaf| encode(leaf.encryption_key()));
        let accepted = keys.any(|key| key.is_ok_and(|key| *key == pending.leaf_key));
        Ok(if accepted { JoinFate::Accepted } else { JoinFate::Lost })
    }

    /// The delivery service accepted the external commit: what was put aside becomes the conversation, in place of whatever
    /// was kept of it before.
    pub fn merge_join(&mut self, id: &[u8], commit_id: &MessageId, handshakes_only: bool) -> Result<Merged> {
        let scope = scope_of(id)?;
        let Some(pending) = self.pending_join_as(id, commit_id)? else {
            let outcome = match self.find_row(&scope)? {
                Some(row) if row.state != State::Removed && self.was_joined_by(id, commit_id)? => MergeOutcome::Before,
                _ => MergeOutcome::Lost,
            };
            let epoch = if outcome == MergeOutcome::Before {
                self.epoch(id)?
            } else {
                0
            };
            return Ok(Merged::earlier(outcome, epoch));
        };
        let mut receipt = Receipt::new(handshakes_only);
        self.adopt_join(scope, pending, &mut receipt)?;
        Ok(Merged {
            outcome: MergeOutcome::Merged,
            epoch: self.epoch(id)?,
            received: receipt.received,
            settled: receipt.settled,
            stalled: receipt.stalled,
        })
    }

    fn was_joined_by(&mut self, id: &[u8], commit_id: &MessageId) -> Result<bool> {
        self.in_conversation(id, |conversation| {
            Ok(conversation.fate(commit_id)? == Some(Fate::Merged))
        })
    }

    /// Puts the conversation of an accepted external commit in the place of what was there. The receipt gets the commit, with
    /// all members as added, since all are new to this client, and then what waited for it.
    pub(crate) fn adopt_join(&mut self, scope: Vec<u8>, pending: PendingJoin, receipt: &mut Receipt) -> Result<()> {
        let PendingJoin {
            staged,
            credential,
            former_leaf_keys,
            ..
        } = pending;
        let was_in_lost_state = renewal::was_join_of_lost_state(&self.provider, &scope, &staged.commit_id)?;
        let rows: Option<Vec<PutAside>> = self.provider.read(Entity::PendingJoin, &scope, GROUP)?;
        let rows = rows.ok_or_else(|| Error::damaged(&scope))?;
        self.unless_damaged(&scope, receipt, |session, receipt| {
            if session.find_row(&scope)?.is_none_or(|row| row.state == State::Removed) {
                return Ok(());
            }
            session.in_conversation(&staged.conversation_id, |conversation| {
                // The leaf that it would have made is the one that the join took the place of: it
                // was accepted.
                let pending = conversation.group.pending_commit();
                let leaf_key = pending.and_then(|commit| commit.update_path_leaf_node());
                let leaf_key = leaf_key.map(|leaf| encode(leaf.encryption_key())).transpose()?;
                let accepted = leaf_key.is_some_and(|leaf_key| former_leaf_keys.contains(&leaf_key));
                conversation.give_up_staged(accepted, receipt)?;
                conversation.make_way()
            })
        })?;
        self.make_room(&scope)?;
        self.groups.replaced(&scope);
        forget_join(&self.provider, &scope);
        self.provider.rows().restore(rows);
        renewal::begin(&self.provider, &scope, was_in_lost_state)?;
        // Whoever was added, and joins from outside before the Welcome comes, has used its key package up by that.
        self.forget_key_packages(|package| {
            let leaf_key = encode(package.leaf_node().encryption_key());
            let is_former = leaf_key.is_ok_and(|leaf_key| former_leaf_keys.contains(&leaf_key));
            is_former && !package.last_resort()
        })?;
        let row = ConversationRow {
            id: staged.conversation_id.clone(),
            credential,
            state: State::Member,
            joined: staged.epoch + 1,
            last: 0,
            held: false,
            stalled: None,
            welcome: None,
            replaced: None,
        };
        self.provider.write(Entity::Conversation, &scope, &[], &row)?;
        self.in_conversation(&staged.conversation_id, |conversation| {
            conversation.remember(&staged.commit_id, Fate::Merged)?;
            conversation.note_epoch()?;
            let change = Change {
                added: members(&conversation.group),
                ..Change::default()
            };
            receipt.received.push(Received {
                message_id: staged.commit_id,
                conversation_id: Some(staged.conversation_id.clone()),
                epoch: staged.epoch,
                what: What::Commit {
                    by: None,
                    own: true,
                    change,
                    active: true,
                },
            });
            conversation.replay(receipt)
        })
    }

    /// The external commit will never be accepted: nothing of it stays. Answers false when it was settled before.
    pub fn drop_join(&mut self, id: &[u8], commit_id: &MessageId) -> Result<bool> {
        if self.pending_join_as(id, commit_id)?.is_none() {
            return Ok(false);
        }
        forget_join(&self.provider, &scope_of(id)?);
        Ok(true)
    }

    pub(crate) fn pending_join(&self, scope: &[u8]) -> Result<Option<PendingJoin>> {
        self.provider.read(Entity::PendingJoin, scope, JOIN)
    }

    /// Stores what has changed about a pending join, but for the group that it makes.
    pub(crate) fn store_join(&self, scope: &[u8], pending: &PendingJoin) -> Result<()> {
        self.provider.write(Entity::PendingJoin, scope, JOIN, pending)
    }

    /// Whether an external commit is pending for this conversation; nothing of it is read.
    pub(crate) fn has_pending_join(&self, scope: &[u8]) -> Result<bool> {
        self.provider.rows().has(Entity::PendingJoin, scope, MARK)
    }

    /// Fails with `CONVERSATION_CORRUPT` where the pending join cannot be read.
    pub(crate) fn joins_soundly(&self, scope: &[u8]) -> Result<()> {
        let keys = self.provider.rows().keys(Entity::PendingJoin, scope)?;
        let join = self.pending_join(scope)?.is_some();
        let mark = self.provider.read::<Mark>(Entity::PendingJoin, scope, MARK)?.is_some();
        let group = self.provider.rows().get(Entity::PendingJoin, scope, GROUP)?.is_some();
        match keys.len() {
            0 => Ok(()),
            3 if join && mark && group => Ok(()),
            _ => Err(Error::damaged(scope)),
        }
    }

    /// The pending join of this very commit.
    pub(crate) fn pending_join_by(&self, scope: &[u8], commit_id: &MessageId) -> Result<Option<PendingJoin>> {
        match self.provider.read::<Mark>(Entity::PendingJoin, scope, MARK)? {
            Some(mark) if mark.commit_id == *commit_id => self.pending_join(scope),
            _ => Ok(None),
        }
    }

    fn pending_join_as(&self, id: &[u8], commit_id: &MessageId) -> Result<Option<PendingJoin>> {
        check_id("conversation id", id)?;
        self.pending_join_by(&scope_of(id)?, commit_id)
    }
}

fn no_commit(cause: CreateCommitError) -> Error {
    invalid("its group takes no commit of this client from outside").caused_by(cause)
}

impl Conversation<'_> {
    /// A commit of the epoch before this one was merged. An external commit that is open for it, or for an earlier one, is never
    /// accepted: to go where it leads would be to go back.
    pub(crate) fn lose_join(&self, epoch: u64, receipt: &mut Receipt) -> Result<()> {
        lose_join_before(self.provider, &self.scope, epoch, receipt)
    }
}

/// This client comes to that epoch by other means: an external commit for an earlier one leads nowhere.
pub(crate) fn lose_join_before(provider: &Provider, scope: &[u8], epoch: u64, receipt: &mut Receipt) -> Result<()> {
    let mark: Option<Mark> = provider.read(Entity::PendingJoin, scope, MARK)?;
    if mark.is_none_or(|mark| mark.epoch >= epoch) {
        return Ok(());
    }
    let pending: Option<PendingJoin> = provider.read(Entity::PendingJoin, scope, JOIN)?;
    forget_join(provider, scope);
    if let Some(PendingJoin { staged, .. }) = pending {
        receipt.settled.push(Settled {
            conversation_id: staged.conversation_id,
            commit_id: staged.commit_id,
            merged: false,
            change: staged.change,
        });
    }
    Ok(())
}

/// Nothing of a pending join stays.
fn forget_join(provider: &Provider, scope: &[u8]) {
    for key in [MARK, JOIN, GROUP] {
        provider.rows().delete(Entity::PendingJoin, scope, key);
    }
}
