//! Creating conversations.

use openmls::prelude::{GroupId, MlsGroup};
use openmls_traits::OpenMlsProvider;

use crate::conversation::commit::{Request, StagedCommit};
use crate::conversation::external_join::declaration;
use crate::conversation::intent::Invitee;
use crate::conversation::newest::note_epoch;
use crate::conversation::{ConversationRow, State, join_config, renewal, scope_of};
use crate::credential::CredentialRow;
use crate::error::{Code, Error, Result};
use crate::id::check_id;
use crate::key_package::capabilities;
use crate::key_package::lifetime::own_lifetime;
use crate::session::Session;

impl Session {
    /// Creates a conversation with this client as its only member.
    ///
    /// `external_join` lets clients join by an external commit, for good and for all members alike.
    pub fn create_conversation(&mut self, id: &[u8], credential: &[u8], external_join: bool) -> Result<()> {
        self.create(id, credential, State::Member, external_join)
    }

    /// Creates a conversation and stages the commit that adds these members to it. Until that is merged nothing can be sent in
    /// it; clearing it deletes the conversation again.
    pub fn stage_create(
        &mut self,
        id: &[u8],
        credential: &[u8],
        invitees: Vec<Invitee>,
        external_join: bool,
    ) -> Result<StagedCommit> {
        self.create(id, credential, State::Founding, external_join)?;
        self.in_conversation(id, |conversation| {
            let intent = conversation.intend(Request::add(invitees))?;
            let staged = conversation.stage_what_is_left(&intent, true)?;
            staged.ok_or_else(|| Error::internal("a founding commit adds nobody"))
        })
    }

    fn create(&mut self, id: &[u8], credential: &[u8], state: State, external_join: bool) -> Result<()> {
        check_id("conversation id", id)?;
        let scope = scope_of(id)?;
        let replaced = self.free_scope(&scope)?;
        if self.has_pending_join(&scope)? {
            return Err(Error::new(
                Code::ConversationExists,
                "An external join of a conversation of that id is open. Call session.settle() first.",
            ));
        }
        let row = CredentialRow::load(&self.provider, credential)?;
        let config = join_config();
        let group = MlsGroup::builder()
            .with_group_id(GroupId::from_slice(id))
            .ciphersuite(row.suite()?)
            .with_wire_format_policy(config.wire_format_policy())
            .padding_size(config.padding_size())
            .set_past_epoch_deletion_policy(openmls::group::PastEpochDeletionPolicy::MaxEpochs(
                usize::try_from(crate::limits::PAST_EPOCHS).expect("a small number"),
            ))
            .use_ratchet_tree_extension(true)
            .lifetime(own_lifetime(None, self.provider.clock().now_secs())?)
            .sender_ratchet_configuration(*config.sender_ratchet_configuration())
            .with_capabilities(capabilities(self.provider.crypto()))
            .with_leaf_node_extensions(declaration(external_join)?)
            .map_err(|cause| Error::internal("the leaf of the founder cannot be made").caused_by(cause))?
            .build(&self.provider, &row.signer(&self.provider)?, row.with_key())
            .map_err(|cause| Error::internal("the group could not be created").caused_by(cause))?;
        renewal::begin(&self.provider, &scope, false)?;
        if state == State::Member {
            // To create a conversation anew is consent: what is known of another one of this id counts no more.
            note_epoch(&self.provider, &scope, 0)?;
        }
        self.adopt(
            scope,
            ConversationRow {
                id: id.to_vec(),
                credential: credential.to_vec(),
                state,
                joined: 0,
                last: 0,
                held: false,
                stalled: None,
                welcome: None,
                replaced: replaced.filter(|_| state == State::Founding).map(Box::new),
            },
            group,
        )
    }

    /// Takes a new group in.
    pub(crate) fn adopt(&mut self, scope: Vec<u8>, row: ConversationRow, group: MlsGroup) -> Result<()> {
        self.provider
            .write(crate::keystore::Entity::Conversation, &scope, &[], &row)?;
        self.touch(&scope);
        self.groups.replaced(&scope);
        self.groups.keep(scope, group);
        Ok(())
    }

    /// Makes sure that no conversation is in the way; what is left of one that removed this client goes, and is answered.
    pub(crate) fn free_scope(&self, scope: &[u8]) -> Result<Option<ConversationRow>> {
        let row = self.find_row(scope)?;
        match row.as_ref().map(|row| row.state) {
            Some(State::Member | State::Founding) => Err(exists()),
            Some(State::Removed) | None => {
                self.make_room(scope)?;
                Ok(row)
            }
        }
    }
}

/// What is said where a conversation of the id is there.
pub(crate) fn exists() -> Error {
    Error::new(
        Code::ConversationExists,
        "This client is a member of a conversation of that id already. Use it; or receive what has removed this client from it, or wipe() it, \
         before you join anew.",
    )
}
