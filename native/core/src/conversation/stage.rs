//! Building and staging commits, and the moment one makes an epoch.

use std::time::{SystemTime, UNIX_EPOCH};

use openmls::credentials::NewSignerBundle;
use openmls::prelude::{LeafNodeIndex, Proposal, ProposalOrRefType, QueuedProposal};
use openmls_traits::OpenMlsProvider;
use tls_codec::Serialize as _;

use crate::codec::encode;
use crate::conversation::commit::{StagedCommit, Why};
use crate::conversation::intent::{Intent, Work};
use crate::conversation::known::{Fate, MessageId, message_id};
use crate::conversation::{Conversation, State};
use crate::credential::CredentialRow;
use crate::error::{Error, Result};
use crate::keystore::Entity;
use crate::member::{Change, change_of_commit, identity};
use crate::storage::Changes;

impl Conversation<'_> {
    /// Builds the commit of this work, with all proposals that are pending, and stages it.
    pub(crate) fn stage(&mut self, intent: &Intent, work: Work) -> Result<Option<StagedCommit>> {
        // OpenMLS' builder would silently replace a staged commit, which may be on its way.
        if self.staged()?.is_some() {
            return Err(Error::internal("a commit of this conversation is staged already"));
        }
        let welcome_to = self.welcome_to(&work.adds)?;
        let own_leaf = self.group.own_leaf_index();
        let proposals_only = work.adds.is_empty() && work.removes.is_empty() && !work.update;
        if proposals_only
            && !self
                .group
                .pending_proposals()
                .any(|queued| fits(queued, &work, own_leaf))
        {
            return Ok(None);
        }
        let credential = self.credential()?;
        let signer = credential.signer(self.provider)?;
        let next = match &work.credential {
            Some(reference) => Some(CredentialRow::load(self.provider, reference)?),
            None => None,
        };
        let build_failed = |cause: &dyn std::fmt::Display| {
            Error::invalid(format!("The commit cannot be built: {cause}. Nothing was changed."))
        };
        // Set also when empty: that of a failed attempt would be committed to.
        self.group.set_aad(Vec::new());
        let builder = self
            .group
            .commit_builder()
            .consume_proposal_store(true)
            .force_self_update(true)
            .propose_adds(work.adds.iter().cloned())
            .propose_removals(work.removes.iter().copied())
            .load_psks(self.provider.storage())
            .map_err(|cause| build_failed(&cause))?
            .create_group_info(true)
            .use_ratchet_tree_extension(true);
        let (rand, crypto) = (self.provider.rand(), self.provider.crypto());
        let wanted = |queued: &QueuedProposal| fits(queued, &work, own_leaf);
        let built = match &next {
            None => builder.build(rand, crypto, &signer, wanted),
            // Signed with the key that the others know; the new one signs the leaf and the GroupInfo.
            Some(next) => {
                let next = NewSignerBundle {
                    signer: &next.signer(self.provider)?,
                    credential_with_key: next.with_key(),
                };
                builder.build_with_new_signer(rand, crypto, &signer, next, wanted)
            }
        }
        .map_err(|cause| build_failed(&cause))?;
        let bundle = self
            .provider
            .changing(Changes::Present, || built.stage_commit(self.provider))
            .map_err(|cause| build_failed(&cause))?;
        let unwritable = |cause: tls_codec::Error| Error::internal("the commit could not be written").caused_by(cause);
        let (commit, welcome, group_info) = bundle.into_messages();
        let commit = commit.tls_serialize_detached().map_err(unwritable)?;
        let welcome = welcome
            .map(|welcome| welcome.tls_serialize_detached())
            .transpose()
            .map_err(unwritable)?;
        let group_info = group_info
            .ok_or_else(|| Error::internal("a commit came without its GroupInfo"))?
            .tls_serialize_detached()
            .map_err(unwritable)?;
        let pending = self
            .group
            .pending_commit()
            .ok_or_else(|| Error::internal("the commit was not staged"))?;
        let staged = StagedCommit {
            conversation_id: self.row.id.clone(),
            epoch: self.epoch(),
            commit_id: message_id(&commit),
            commit,
            welcome: welcome.map(serde_bytes::ByteBuf::from),
            group_info,
            welcome_to,
            credential: work.credential.map(serde_bytes::ByteBuf::from),
            change: change_of_commit(&self.group, pending, own_leaf),
            intent: encode(intent)?.to_vec(),
            attempts: 1,
            since_ms: now_ms(),
            why: Why::Restart,
        };
        self.store_staged(&staged)?;
        self.remember(&staged.commit_id, staged.epoch, Fate::Sent)?;
        Ok(Some(staged))
    }

    /// The commit staged now.
    pub(crate) fn staged(&self) -> Result<Option<StagedCommit>> {
        self.provider.read(Entity::StagedCommit, &self.scope, &[])
    }

    /// The commit staged now, if it is this one.
    pub(crate) fn staged_as(&self, commit_id: &MessageId) -> Result<Option<StagedCommit>> {
        Ok(self.staged()?.filter(|staged| staged.commit_id == *commit_id))
    }

    pub(crate) fn store_staged(&self, staged: &StagedCommit) -> Result<()> {
        self.provider.write(Entity::StagedCommit, &self.scope, &[], staged)
    }

    pub(crate) fn forget_staged(&self) -> Result<()> {
        self.provider.rows().delete(Entity::StagedCommit, &self.scope, &[]);
        Ok(())
    }

    /// Merges the staged commit. The one place where an own commit makes an epoch.
    pub(crate) fn merge_own(&mut self, staged: StagedCommit) -> Result<Change> {
        self.keep_past_members(&staged.change)?;
        self.provider
            .changing(Changes::Present, || self.group.merge_pending_commit(self.provider))
            .map_err(|cause| Error::internal("the commit could not be merged").caused_by(cause))?;
        self.forget_staged()?;
        self.remember(&staged.commit_id, staged.epoch, Fate::Merged)?;
        self.row.state = State::Member;
        if let Some(credential) = staged.credential {
            self.row.credential = credential.into_vec();
        }
        self.begin_epoch()?;
        Ok(staged.change)
    }

    /// What every new epoch brings, whoever committed.
    pub(crate) fn begin_epoch(&mut self) -> Result<()> {
        self.store_row()?;
        self.prune_known()?;
        self.prune_past_members()?;
        self.prune_generations()
    }
}

/// Whether a proposal can be part of this commit. Its own by value always; of the pending ones not all: a committer cannot remove itself, and what the commit itself does
/// need not be done twice.
fn fits(queued: &QueuedProposal, work: &Work, own_leaf: LeafNodeIndex) -> bool {
    if queued.proposal_or_ref_type() == ProposalOrRefType::Proposal {
        return true;
    }
    match queued.proposal() {
        Proposal::Remove(remove) => remove.removed() != own_leaf && !work.removes.contains(&remove.removed()),
        Proposal::Add(add) => {
            let leaf = add.key_package().leaf_node();
            !work.adds.iter().any(|package| {
                package.leaf_node().signature_key() == leaf.signature_key()
                    || identity(package.leaf_node().credential()) == identity(leaf.credential())
            })
        }
        _ => true,
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
