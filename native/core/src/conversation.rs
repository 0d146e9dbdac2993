//! Conversations: MLS groups as this client takes part in them. One file per thing that is done with them.

mod admit;
pub(crate) mod buffer;
pub mod commit;
pub mod context;
mod create;
mod encrypt;
pub mod external_join;
mod framed;
pub(crate) mod generations;
mod group_info;
pub(crate) mod hpke_key;
pub mod info;
pub mod intent;
pub mod join;
pub mod known;
mod newest;
mod past;
mod pending;
pub(crate) mod policy;
mod process;
mod ratchet_tree;
mod reasons;
pub mod receive;
pub mod received;
mod renewal;
mod ring;
mod seen;
mod set_aside;
mod stage;
pub mod stalled;
mod unbuilt;
mod verdict;
mod wipe;

use std::panic::{AssertUnwindSafe, catch_unwind};

use openmls::prelude::{
    GroupId, MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY, MlsGroup, MlsGroupJoinConfig, SenderRatchetConfiguration,
};
use openmls_traits::OpenMlsProvider;
use serde::{Deserialize, Serialize};

use crate::codec::{decode, encode};
use crate::conversation::generations::Reserved;
use crate::conversation::known::MessageId;
use crate::conversation::stalled::Stalled;
use crate::credential::CredentialRow;
use crate::error::{Code, Error, Result};
use crate::id::check_id;
use crate::keystore::Entity;
use crate::limits::{FORWARD, OUT_OF_ORDER, PADDING, PAST_EPOCHS};
use crate::member::Member;
use crate::provider::Provider;
use crate::session::Session;
use crate::storage::Storage;

/// What is kept of a conversation beside OpenMLS' group.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ConversationRow {
    pub(crate) id: Vec<u8>,
    pub(crate) credential: Vec<u8>,
    pub(crate) state: State,
    /// The epoch in which this client became a member.
    pub(crate) joined: u64,
    /// The last epoch in which it was one; only told when removed.
    pub(crate) last: u64,
    /// Whether messages wait whose epoch has begun, because nobody took them then.
    pub(crate) held: bool,
    /// The commit of a member that was not applied here, if others may have applied it.
    pub(crate) stalled: Option<Stalled>,
    /// By which Welcome it was joined, if by one.
    pub(crate) welcome: Option<Invitation>,
    /// What was left of one of that id that had removed this client, until the commit that founds this one is accepted.
    pub(crate) replaced: Option<Box<ConversationRow>>,
}

/// The Welcome by which a conversation was joined: it may come again, after a crash.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Invitation {
    pub(crate) message_id: MessageId,
    /// Whether it used a last-resort key package.
    pub(crate) last_resort: bool,
    /// Who made the commit that it came with.
    pub(crate) inviter: Member,
}

/// How this client stands to a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// Created with members by a commit that is not accepted yet.
    Founding,
    /// A member.
    Member,
    /// Removed: only this row is left.
    Removed,
}

/// A conversation in hand: its row and its group, while a step changes them.
pub(crate) struct Conversation<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) scope: Vec<u8>,
    pub(crate) row: ConversationRow,
    pub(crate) group: MlsGroup,
    /// Where generations used inside an open transaction are counted; `None` outside one.
    pub(crate) reserved: Option<&'a mut Reserved>,
}

impl Session {
    /// The only way to a group; a failure says in which conversation. What `work` changes is written by the provider as it happens; when it fails the group is
    /// dropped, and the step around it takes the writes back.
    ///
    /// Damage ends here: what is wrong with one conversation is `CONVERSATION_CORRUPT` for that
    /// one, and nobody else's trouble. A panic of `work` is told in the same way. Its group loaded
    /// well, so that it may as well be a fault of ours, or of OpenMLS: the group is dropped,
    /// nothing of its work stays, and nothing is done with it until the database is opened again.
    pub(crate) fn in_conversation<R>(
        &mut self,
        id: &[u8],
        work: impl FnOnce(&mut Conversation<'_>) -> Result<R>,
    ) -> Result<R> {
        self.with_group(id, work).map_err(|error| error.in_conversation(id))
    }

    fn with_group<R>(&mut self, id: &[u8], work: impl FnOnce(&mut Conversation<'_>) -> Result<R>) -> Result<R> {
        let (scope, row) = self.conversation_row(id)?;
        if row.state == State::Removed {
            return Err(inactive());
        }
        if self.groups.is_shut(&scope) {
            return Err(shut());
        }
        self.touch(&scope);
        let group = match self.groups.take(&scope) {
            Some(group) => group,
            None => load(&self.provider, &scope, &row)?,
        };
        let reserved = self.transaction.as_mut().map(|transaction| &mut transaction.reserved);
        let mut conversation = Conversation {
            provider: &self.provider,
            scope,
            row,
            group,
            reserved,
        };
        let mut panicked = false;
        let worked = self.provider.watching(|| {
            let worked = catch_unwind(AssertUnwindSafe(|| work(&mut conversation)));
            worked.unwrap_or_else(|_| {
                panicked = true;
                Err(shut())
            })
        });
        let Conversation { scope, row, group, .. } = conversation;
        if panicked {
            self.groups.shut(&scope);
        }
        let result = worked?;
        if row.state != State::Removed {
            self.groups.keep(scope, group);
        }
        Ok(result)
    }

    /// The scope and row of a conversation; `CONVERSATION_NOT_FOUND` where there is none.
    pub(crate) fn conversation_row(&self, id: &[u8]) -> Result<(Vec<u8>, ConversationRow)> {
        check_id("conversation id", id)?;
        let scope = scope_of(id)?;
        match self.find_row(&scope)? {
            Some(row) => Ok((scope, row)),
            None => Err(not_found()),
        }
    }

    pub(crate) fn find_row(&self, scope: &[u8]) -> Result<Option<ConversationRow>> {
        self.provider.read(Entity::Conversation, scope, &[])
    }
}

impl Conversation<'_> {
    pub(crate) fn epoch(&self) -> u64 {
        self.group.epoch().as_u64()
    }

    pub(crate) fn store_row(&self) -> Result<()> {
        self.provider.write(Entity::Conversation, &self.scope, &[], &self.row)
    }

    pub(crate) fn credential(&self) -> Result<CredentialRow> {
        CredentialRow::load(self.provider, &self.row.credential)
    }

    /// The oldest epoch whose application messages can still be read.
    pub(crate) fn oldest_readable(&self) -> u64 {
        self.epoch().saturating_sub(PAST_EPOCHS).max(self.row.joined)
    }

    /// Drops what memory holds of the group and takes it from the keystore again.
    pub(crate) fn reload(&mut self) -> Result<()> {
        self.group = load(self.provider, &self.scope, &self.row)?;
        Ok(())
    }
}

/// The scope of a conversation's rows: its encoded group id.
pub(crate) fn scope_of(id: &[u8]) -> Result<Vec<u8>> {
    Ok(encode(&GroupId::from_slice(id))?.to_vec())
}

/// The id of the conversation that has this scope; `None`: none has.
pub(crate) fn id_of(scope: &[u8]) -> Option<Vec<u8>> {
    let id: GroupId = decode(scope).ok()?;
    Some(id.to_vec())
}

/// The group as it is stored. Whatever keeps it from being loaded, a panic included, is damage of
/// what is stored, since nothing else is looked at; but not a failed read.
fn load(provider: &Provider, scope: &[u8], row: &ConversationRow) -> Result<MlsGroup> {
    let loading = || match MlsGroup::load(provider.storage(), &GroupId::from_slice(&row.id))? {
        Some(group) if is_sound(provider, scope, row, &group)? => Ok(Some(group)),
        _ => Ok(None),
    };
    let loaded = catch_unwind(AssertUnwindSafe(|| provider.watching(loading))).unwrap_or(Ok(None))?;
    loaded.ok_or_else(|| Error::damaged(scope))
}

/// Whether what was loaded belongs together, as far as OpenMLS relies on it without a look: the own
/// leaf is this client's, and its private keys are here.
fn is_sound(provider: &Provider, scope: &[u8], row: &ConversationRow, group: &MlsGroup) -> Result<bool> {
    let Some(own) = group.own_leaf_node().filter(|_| group.group_id().as_slice() == row.id) else {
        return Ok(false);
    };
    let keys = Storage::epoch_key(&group.epoch(), group.own_leaf_index().u32())?;
    if !provider.rows().has(Entity::EpochKeyPairs, scope, &keys)? {
        return Ok(false);
    }
    // A credential that is damaged or gone is another trouble.
    let credential = provider.rows().get(Entity::Credential, &[], &row.credential);
    let credential: Option<CredentialRow> = credential.ok().flatten().and_then(|value| decode(&value).ok());
    Ok(credential.is_none_or(|credential| credential.public_key == own.signature_key().as_slice()))
}

fn shut() -> Error {
    Error::new(
        Code::ConversationCorrupt,
        "Work on this conversation ended as it never should, and nothing more is done with it until the database is opened again. \
         Close it and open it again; where the same happens again, call wipe() and join the conversation anew. Please report it.",
    )
}

fn not_found() -> Error {
    Error::new(
        Code::ConversationNotFound,
        "This client has no such conversation. Create it, or join it by a Welcome.",
    )
}

fn inactive() -> Error {
    Error::new(
        Code::ConversationInactive,
        "This client was removed from the conversation. It can be joined again by a new Welcome.",
    )
}

/// How groups are run: encrypted handshakes, and the windows of [`crate::limits`].
pub(crate) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .padding_size(PADDING)
        .max_past_epochs(usize::try_from(PAST_EPOCHS).expect("a small number"))
        .use_ratchet_tree_extension(true)
        .sender_ratchet_configuration(SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD))
        .build()
}
