//! Building and staging commits, and the moment one makes an epoch, or never will.

use std::collections::HashSet;

use openmls::credentials::NewSignerBundle;
use openmls::group::{CommitBuilder, CommitMessageBundle, Complete};
use openmls::prelude::hash_ref::ProposalRef;
use openmls::prelude::{LeafNodeParameters, ProposalOrRefType, QueuedProposal};
use openmls_traits::OpenMlsProvider;
use tls_codec::Serialize as _;

use crate::codec::encode;
use crate::conversation::commit::{Settled, StagedCommit, Why};
use crate::conversation::external_join::{declaration, is_open};
use crate::conversation::intent::{Intent, Work};
use crate::conversation::known::{Fate, MessageId, message_id};
use crate::conversation::received::{Receipt, What};
use crate::conversation::unbuilt::BuildError;
use crate::conversation::{Conversation, State};
use crate::credential::CredentialRow;
use crate::error::{Error, Result};
use crate::keystore::Entity;
use crate::limits::{MAX_GROUP_INFO, MAX_MESSAGE};
use crate::member::{Change, change_of_commit, member_at};
use crate::storage::Changes;

impl Conversation<'_> {
    /// Stages a commit of what is left to do of the intent, if anything is.
    pub(crate) fn stage_what_is_left(&mut self, intent: &Intent, first: bool) -> Result<Option<StagedCommit>> {
        let work = self.work_of(intent, first)?;
        work.map(|work| self.stage(intent, work)).transpose()
    }

    /// Builds the commit of this work, with the pending proposals that fit, and stages it.
    fn stage(&mut self, intent: &Intent, work: Work) -> Result<StagedCommit> {
        // OpenMLS' builder would silently replace a staged commit, which may be on its way.
        if self.staged()?.is_some() {
            return Err(Error::internal("a commit of this conversation is staged already"));
        }
        if self.group.pending_commit().is_some() {
            return Err(Error::damaged(&self.scope));
        }
        self.burn_handshakes()?;
        let signers = Signers {
            present: self.credential()?,
            next: match &work.credential {
                Some(reference) => Some(CredentialRow::load(self.provider, reference)?),
                None => None,
            },
        };
        let fitting = self.fitting(&work);
        let built = match self.build(&work, &signers, &fitting.iter().cloned().collect()) {
            Err(_) if !fitting.is_empty() => {
                let valid = self.valid_among(fitting, &work, &signers);
                self.build(&work, &signers, &valid)
            }
            built => built,
        };
        let (commit, welcome, group_info) = match built {
            Ok(bundle) => bundle.into_messages(),
            Err(cause) => return Err(self.why_not_built(cause, &work, &signers)),
        };
        let unwritable = |cause: tls_codec::Error| Error::internal("the commit could not be written").caused_by(cause);
        let commit = commit.tls_serialize_detached().map_err(unwritable)?;
        let welcome = welcome
            .map(|welcome| welcome.tls_serialize_detached())
            .transpose()
            .map_err(unwritable)?;
        let group_info = group_info
            .ok_or_else(|| Error::internal("a commit came without its GroupInfo"))?
            .tls_serialize_detached()
            .map_err(unwritable)?;
        let welcome_size = welcome.as_ref().map_or(0, Vec::len);
        check_sizes(commit.len().max(welcome_size), MAX_MESSAGE, group_info.len())?;
        let pending = self
            .group
            .pending_commit()
            .ok_or_else(|| Error::internal("the commit was not staged"))?;
        let added = pending.add_proposals();
        let added = added.map(|queued| queued.add_proposal().key_package().clone());
        let staged = StagedCommit {
            conversation_id: self.row.id.clone(),
            epoch: self.epoch(),
            commit_id: message_id(&commit),
            commit,
            welcome: welcome.map(serde_bytes::ByteBuf::from),
            group_info,
            welcome_to: self.welcome_to(&added.collect::<Vec<_>>())?,
            credential: work.credential.map(serde_bytes::ByteBuf::from),
            change: change_of_commit(&self.group, pending, self.group.own_leaf_index()),
            intent: encode(intent)?.to_vec(),
            attempts: 1,
            since_ms: self.provider.clock().now_ms(),
            why: Why::Restart,
        };
        self.store_staged(&staged)?;
        self.count_handshake()?;
        self.renews(&staged)?;
        self.remember(&staged.commit_id, Fate::Sent)?;
        Ok(staged)
    }

    fn build(
        &mut self,
        work: &Work,
        signers: &Signers,
        proposals: &HashSet<ProposalRef>,
    ) -> std::result::Result<CommitMessageBundle, BuildError> {
        let provider = self.provider;
        let built = self.assemble(work, signers, proposals)?;
        Ok(provider.changing(Changes::Present, || built.stage_commit(provider))?)
    }

    /// Most of the proposals that can be committed together. Only for when not all can: it tries parts of them, smaller and
    /// smaller ones around what cannot, but not for ever; what is left out then can be proposed again.
    fn valid_among(&mut self, proposals: Vec<ProposalRef>, work: &Work, signers: &Signers) -> HashSet<ProposalRef> {
        const MOST_BUILDS: usize = 32;
        let mut valid = HashSet::new();
        let mut parts = vec![proposals];
        for _ in 0..MOST_BUILDS {
            let Some(mut part) = parts.pop() else { break };
            let together = valid.iter().chain(&part).cloned().collect();
            if self.assemble(work, signers, &together).is_ok() {
                valid = together;
            } else if part.len() > 1 {
                let rest = part.split_off(part.len() / 2);
                parts.push(rest);
                parts.push(part);
            }
        }
        valid
    }

    /// Computes a commit of this work and of these pending proposals. Nothing is changed by it.
    pub(crate) fn assemble(
        &mut self,
        work: &Work,
        signers: &Signers,
        proposals: &HashSet<ProposalRef>,
    ) -> std::result::Result<CommitBuilder<'_, Complete>, BuildError> {
        let provider = self.provider;
        // What one leaf declares would go with it; so all that commit declare it, too.
        let leaf = LeafNodeParameters::builder()
            .with_extensions(declaration(is_open(&self.group))?)
            .build();
        // Set also when empty: that of a failed attempt would be committed to.
        self.group.set_aad(Vec::new());
        let builder = self
            .group
            .commit_builder()
            .consume_proposal_store(true)
            .force_self_update(true)
            .propose_adds(work.adds.iter().map(|addition| addition.key_package.clone()))
            .propose_removals(work.removes.iter().copied())
            .leaf_node_parameters(leaf)
            .load_psks(provider.storage())?
            .create_group_info(true)
            .use_ratchet_tree_extension(true);
        let signer = signers.present.signer(provider)?;
        let wanted = |queued: &QueuedProposal| {
            let by_value = queued.proposal_or_ref_type() == ProposalOrRefType::Proposal;
            by_value || proposals.contains(queued.proposal_reference_ref())
        };
        Ok(match &signers.next {
            None => builder.build(provider.rand(), provider.crypto(), &signer, wanted)?,
            // Signed with the key that the others know; the new one signs the leaf and the GroupInfo.
            Some(next) => {
                let next = NewSignerBundle {
                    signer: &next.signer(provider)?,
                    credential_with_key: next.with_key(),
                };
                builder.build_with_new_signer(provider.rand(), provider.crypto(), &signer, next, wanted)?
            }
        })
    }

    /// The commit staged now.
    pub(crate) fn staged(&self) -> Result<Option<StagedCommit>> {
        self.provider.read(Entity::StagedCommit, &self.scope, &[])
    }

    /// Whether a commit is staged now; nothing of it is read.
    pub(crate) fn has_staged(&self) -> Result<bool> {
        self.provider.rows().has(Entity::StagedCommit, &self.scope, &[])
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

    /// Merges the staged commit, which the delivery service has accepted, and answers it as what was received: whether the
    /// answer or its own echo says so makes no difference.
    pub(crate) fn merge_accepted(&mut self, staged: StagedCommit, receipt: &mut Receipt) -> Result<What> {
        self.lose_join(staged.epoch + 1, receipt)?;
        let by = member_at(&self.group, self.group.own_leaf_index());
        Ok(What::Commit {
            by,
            own: true,
            change: self.merge_own(staged)?,
            active: true,
        })
    }

    /// The one place where an own commit makes an epoch.
    fn merge_own(&mut self, staged: StagedCommit) -> Result<Change> {
        self.keep_past_members(&staged.change)?;
        self.provider
            .changing(Changes::Present, || self.group.merge_pending_commit(self.provider))
            .map_err(|cause| Error::internal("the commit could not be merged").caused_by(cause))?;
        self.forget_staged()?;
        self.was_renewed(&staged)?;
        self.remember(&staged.commit_id, Fate::Merged)?;
        self.row.state = State::Member;
        self.row.replaced = None;
        if let Some(credential) = staged.credential {
            self.row.credential = credential.into_vec();
        }
        self.begin_epoch()?;
        Ok(staged.change)
    }

    /// A commit of another member takes the epoch: the staged one, if any, can never be merged.
    pub(crate) fn lose_staged(&mut self, receipt: &mut Receipt) -> Result<()> {
        if let Some(staged) = self.staged()? {
            self.remember(&staged.commit_id, Fate::Lost)?;
        }
        self.give_up_staged(false, receipt)
    }

    /// The staged commit, if any, is merged here no more, whatever the server made of it. Its echo is one's own.
    pub(crate) fn give_up_staged(&mut self, accepted: bool, receipt: &mut Receipt) -> Result<()> {
        if let Some(staged) = self.staged()? {
            self.forget_staged()?;
            receipt.settled.push(Settled {
                conversation_id: self.row.id.clone(),
                commit_id: staged.commit_id,
                merged: accepted,
                change: staged.change,
            });
        }
        Ok(())
    }

    /// What every new epoch brings, whoever committed.
    pub(crate) fn begin_epoch(&mut self) -> Result<()> {
        self.row.stalled = None;
        self.store_row()?;
        self.note_epoch()?;
        self.forget_what_was_set_aside()?;
        self.prune_past_members()?;
        self.prune_renewal()?;
        self.prune_generations()
    }
}

/// Who signs a commit: the present credential, and the one that comes with it if it is another.
pub(crate) struct Signers {
    present: CredentialRow,
    next: Option<CredentialRow>,
}

/// Refuses what other clients would not look at: a commit (or Welcome) that is larger than they
/// accept, or a conversation whose GroupInfo is. Sizes are in bytes.
pub(crate) fn check_sizes(commit: usize, largest_commit: usize, group_info: usize) -> Result<()> {
    if commit > largest_commit {
        return Err(Error::invalid(format!(
            "The commit would have {commit} bytes, and {largest_commit} are accepted. Change fewer members at once."
        )));
    }
    if group_info > MAX_GROUP_INFO {
        return Err(Error::invalid(format!(
            "The conversation would be too large to be joined: its GroupInfo would have {group_info} bytes, and \
             {MAX_GROUP_INFO} are accepted. Add fewer members."
        )));
    }
    Ok(())
}
