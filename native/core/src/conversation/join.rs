//! Joining by a Welcome (RFC 9420 section 12.4.3.1).

use std::collections::HashSet;
use std::io::Read as _;

use openmls::prelude::{MlsMessageBodyIn, MlsMessageIn, StagedWelcome, Welcome, WelcomeError};
use openmls::schedule::psk::Psk;
use sha2::{Digest, Sha256};
use tls_codec::Deserialize as _;

use crate::codec::encode;
use crate::conversation::commit::Settled;
use crate::conversation::create::exists;
use crate::conversation::external_join::lose_join_before;
use crate::conversation::known::{MessageId, message_id};
use crate::conversation::newest::{newest_epoch, note_epoch, rollback};
use crate::conversation::ratchet_tree::{Source, of_another_epoch, with_ratchet_tree};
use crate::conversation::reasons::of_welcome;
use crate::conversation::received::{Receipt, Received};
use crate::conversation::stalled::StalledNow;
use crate::conversation::{Conversation, ConversationRow, Invitation, State, join_config, load, renewal, scope_of};
use crate::error::{Code, Error, Result};
use crate::frame::{Flaw, Frame, read};
use crate::id::check_id;
use crate::key_package::KeyPackageRow;
use crate::keystore::{Entity, Savepoint};
use crate::limits::{MAX_EPOCH, MAX_USED_WELCOMES};
use crate::member::{Member, members};
use crate::session::Session;

/// A conversation just joined.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The conversation.
    pub conversation_id: Vec<u8>,
    /// Its epoch.
    pub epoch: u64,
    /// Everybody in it, this client too.
    pub members: Vec<Member>,
    /// Who made the commit that added this client.
    pub inviter: Member,
    /// Whether a last-resort key package was used: publish a fresh one soon, and update the keys.
    pub last_resort: bool,
    /// The suite of the key package that was used.
    pub cipher_suite: u16,
    /// What waited for this Welcome.
    pub received: Vec<Received>,
    /// Own commits that have no place any more.
    pub settled: Vec<Settled>,
    /// The conversation, if what it released has stalled it.
    pub stalled: Vec<StalledNow>,
    /// Whether this Welcome was used before: this is the conversation as it has become.
    pub again: bool,
}

impl Session {
    /// Joins the conversation of a Welcome. The key package it used is gone with success, and stays with failure, unless the Welcome
    /// was overtaken. A Welcome that this client has joined by before, and is a member by, answers the conversation as it is now.
    /// A conversation that is stalled, or has to renew its keys after a rollback, is replaced by a Welcome to a later epoch.
    ///
    /// Fails with `ROLLBACK_REFUSED`, unless `allow_rollback`, for an epoch before the newest one that is known of the
    /// conversation, and for a Welcome that was used before with a last-resort key package.
    pub fn join_by_welcome(&mut self, bytes: &[u8], allow_rollback: bool) -> Result<Joined> {
        self.join_by_welcome_and_tree(bytes, None, allow_rollback)
    }

    /// The same for a Welcome whose ratchet tree travels beside it. A tree in the Welcome counts more than this one.
    ///
    /// Fails with `RATCHET_TREE_MISSING`, in its conversation and at its epoch, where neither is the tree of that epoch; the
    /// same Welcome can be used again then.
    pub fn join_by_welcome_and_tree(
        &mut self,
        bytes: &[u8],
        ratchet_tree: Option<&[u8]>,
        allow_rollback: bool,
    ) -> Result<Joined> {
        let message_id = message_id(bytes);
        let savepoint = self.provider.rows().savepoint();
        let mut opened = None;
        let joined = self.join(bytes, message_id, ratchet_tree, allow_rollback, savepoint, &mut opened);
        match joined {
            Err(error) if [Code::WelcomeWithoutKeyPackage, Code::ConversationExists].contains(&error.code()) => {
                self.provider.rows().rollback_to(savepoint);
                self.joined_by(&message_id)?.ok_or(error)
            }
            joined => joined,
        }
        .map_err(|error| match &opened {
            Some(id) => error.in_conversation(id),
            None => error,
        })
    }

    /// `opened` becomes the id of the conversation as soon as the Welcome tells it.
    fn join(
        &mut self,
        bytes: &[u8],
        message_id: MessageId,
        ratchet_tree: Option<&[u8]>,
        allow_rollback: bool,
        savepoint: Savepoint,
        opened: &mut Option<Vec<u8>>,
    ) -> Result<Joined> {
        let (welcome, reference, row) = self.own_welcome(bytes)?;
        let builder = StagedWelcome::build_from_welcome(&self.provider, &join_config(), welcome).map_err(refused)?;
        let processed = builder.processed_welcome();
        let info = processed.unverified_group_info();
        let (conversation_id, epoch) = (info.group_id().as_slice().to_vec(), info.epoch().as_u64());
        check_id("conversation id of the Welcome", &conversation_id)?;
        *opened = Some(conversation_id.clone());
        if epoch > MAX_EPOCH {
            return Err(invalid("its epoch is larger than any that is accepted"));
        }
        if processed
            .psks()
            .iter()
            .any(|psk| !matches!(psk.psk(), Psk::External(_)))
        {
            return Err(invalid("it continues another conversation, which is not supported"));
        }
        // Not the bytes of the Welcome: anybody can put the secrets in it into another order, or leave out those of others.
        let place: [u8; 32] = Sha256::digest(encode(info.group_context())?).into();
        let use_of_key_package = [&reference[..], &place].concat();
        let scope = scope_of(&conversation_id)?;
        let present = self.find_row(&scope)?;
        if let Some(present) = present.as_ref().filter(|present| present.state == State::Member) {
            // By a last-resort key package it could be joined once more, as it was then.
            let invitation = present.welcome.as_ref();
            if invitation.is_some_and(|invitation| invitation.message_id == message_id) {
                return Err(without_key_package());
            }
            // One to a later epoch, in which this client was a member, comes from another history.
            if epoch <= present.joined {
                if !row.last_resort {
                    // Stored whatever becomes of the step: it would bring back a membership that is over, once this one is, too.
                    self.provider.rows().delete(Entity::KeyPackage, &[], &reference);
                    self.store_now(savepoint)?;
                }
                return Err(overtaken());
            }
        }
        let mut receipt = Receipt::default();
        // After an accepted rollback it may be that nobody follows what this client commits.
        let is_due = renewal::is_due(&self.provider, &scope)?;
        match present.filter(|present| present.state == State::Member && (present.stalled.is_some() || is_due)) {
            Some(stalled) => self.replace_stalled(&scope, stalled, epoch, &mut receipt)?,
            None => drop(self.free_scope(&scope)?),
        }
        if row.last_resort && !allow_rollback {
            let used = self
                .provider
                .rows()
                .get(Entity::UsedWelcome, &[], &use_of_key_package)?;
            if used.is_some() {
                return Err(rollback(newest_epoch(&self.provider, &scope)?.unwrap_or(epoch)));
            }
        }
        self.refuse_rollback(&scope, epoch, allow_rollback)?;
        if row.last_resort && self.is_worn_out(&reference)? {
            return Err(worn_out());
        }
        // Leaves keep the lifetime of the key package they came from until their first update. That one has run out since says
        // nothing against the member, so only key packages to be added are held to it.
        let (builder, source) = with_ratchet_tree(builder, ratchet_tree).map_err(|error| error.at_epoch(epoch))?;
        let staged = builder.skip_lifetime_validation().build();
        let staged = staged.map_err(|cause| match (source, cause) {
            (_, WelcomeError::StorageError(error)) => error,
            (Source::Welcome, cause) => refused(cause),
            (Source::Beside, cause) => of_another_epoch(cause).at_epoch(epoch),
        })?;
        let sender = staged.welcome_sender().map_err(|cause| refused(cause.into()))?;
        let inviter = Member::of_leaf(staged.welcome_sender_index(), sender);
        let group = staged.into_group(&self.provider).map_err(refused)?;
        if row.last_resort {
            self.provider
                .rows()
                .put(Entity::UsedWelcome, &[], &use_of_key_package, Vec::new());
        } else {
            self.provider.rows().delete(Entity::KeyPackage, &[], &reference);
        }
        let members = members(&group);
        let conversation = ConversationRow {
            id: conversation_id.clone(),
            credential: row.credential,
            state: State::Member,
            joined: epoch,
            last: 0,
            held: false,
            stalled: None,
            welcome: Some(Invitation {
                message_id,
                last_resort: row.last_resort,
                inviter: inviter.clone(),
            }),
            replaced: None,
        };
        self.groups.forget(&scope);
        lose_join_before(&self.provider, &scope, epoch, &mut receipt)?;
        note_epoch(&self.provider, &scope, epoch)?;
        renewal::joined_by_key_package(&self.provider, &scope, &reference)?;
        self.adopt(scope, conversation, group)?;
        self.in_conversation(&conversation_id, |conversation| conversation.replay(&mut receipt))?;
        let (last_resort, cipher_suite) = (row.last_resort, row.cipher_suite);
        Ok(Joined {
            conversation_id,
            epoch,
            members,
            inviter,
            last_resort,
            cipher_suite,
            received: receipt.received,
            settled: receipt.settled,
            stalled: receipt.stalled,
            again: false,
        })
    }

    /// A conversation that is stalled makes way for a Welcome to a later epoch.
    fn replace_stalled(&self, scope: &[u8], row: ConversationRow, epoch: u64, receipt: &mut Receipt) -> Result<()> {
        let mut conversation = Conversation {
            provider: &self.provider,
            scope: scope.to_vec(),
            group: load(&self.provider, scope, &row)?,
            row,
            reserved: None,
        };
        if epoch <= conversation.epoch() {
            return Err(exists());
        }
        conversation.give_up_staged(false, receipt)?;
        conversation.make_way()?;
        self.make_room(scope)
    }

    /// The conversation that this Welcome has brought before.
    fn joined_by(&mut self, message_id: &MessageId) -> Result<Option<Joined>> {
        for row in self.read_all::<ConversationRow>(Entity::Conversation, &[])? {
            let Some(invitation) = row.welcome else { continue };
            if row.state == State::Removed || invitation.message_id != *message_id {
                continue;
            }
            return self.in_conversation(&row.id, |conversation| {
                Ok(Some(Joined {
                    conversation_id: conversation.row.id.clone(),
                    epoch: conversation.epoch(),
                    members: members(&conversation.group),
                    inviter: invitation.inviter,
                    last_resort: invitation.last_resort,
                    cipher_suite: conversation.group.ciphersuite().into(),
                    received: Vec::new(),
                    settled: Vec::new(),
                    stalled: Vec::new(),
                    again: true,
                }))
            });
        }
        Ok(None)
    }

    /// Whether so many Welcomes were joined by with this last-resort key package that no further
    /// one could be remembered.
    fn is_worn_out(&self, reference: &[u8]) -> Result<bool> {
        let used = self.provider.rows().keys(Entity::UsedWelcome, &[])?;
        let of_this = used.iter().filter(|key| key.starts_with(reference));
        Ok(of_this.count() >= MAX_USED_WELCOMES)
    }

    /// The Welcome as it is for this client alone, and the key package that it is for: the first
    /// that is named in it. The keystore is asked once, however many are invited, and nothing of
    /// what is for others is decoded.
    fn own_welcome(&self, bytes: &[u8]) -> Result<(Welcome, Vec<u8>, KeyPackageRow)> {
        let welcome = match read(bytes) {
            Ok(Frame::Welcome(welcome)) => welcome,
            Ok(_) => {
                return Err(invalid(
                    "it is another kind of MLSMessage; give group messages to receive()",
                ));
            }
            Err(flaw @ Flaw::TooLarge) => return Err(invalid("it is larger than any that is accepted").caused_by(flaw)),
            Err(flaw) => return Err(invalid("the bytes are not an MLSMessage").caused_by(flaw)),
        };
        let own: HashSet<Vec<u8>> = self
            .provider
            .rows()
            .keys(Entity::KeyPackage, &[])?
            .into_iter()
            .collect();
        let mut secrets = welcome.secrets();
        let secrets = secrets.find(|secrets| own.contains(secrets.reference));
        let secrets = secrets.ok_or_else(without_key_package)?;
        let reference = secrets.reference.to_vec();
        let row = self.provider.read(Entity::KeyPackage, &[], &reference)?;
        let row = row.ok_or_else(without_key_package)?;
        let (head, rest) = welcome.only_for(&secrets);
        let message = MlsMessageIn::tls_deserialize(&mut head.chain(rest))
            .map_err(|cause| invalid("its contents are not valid").caused_by(cause))?;
        match message.extract() {
            MlsMessageBodyIn::Welcome(welcome) => Ok((welcome, reference, row)),
            _ => Err(Error::internal("a Welcome became another message")),
        }
    }
}

fn refused(cause: WelcomeError<Error>) -> Error {
    match cause {
        WelcomeError::StorageError(error) => error,
        WelcomeError::NoMatchingKeyPackage => without_key_package(),
        cause => invalid(of_welcome(&cause)).caused_by(cause),
    }
}

fn invalid(what: &str) -> Error {
    let message = format!("The Welcome cannot be used: {what}. Nothing was changed; ask to be invited again.");
    Error::new(Code::WelcomeInvalid, message)
}

fn overtaken() -> Error {
    Error::new(
        Code::WelcomeOvertaken,
        "This client has joined the conversation in the epoch that the Welcome leads to, or in a later one. Discard the \
         Welcome. If the others do not see you, join from outside, or wipe the conversation and ask to be invited again.",
    )
}

fn worn_out() -> Error {
    Error::new(
        Code::WelcomeWithoutKeyPackage,
        format!(
            "The last-resort key package that this Welcome is for was used {MAX_USED_WELCOMES} times, and no more uses of it are \
             remembered. Publish new key packages, a last-resort one too, and ask to be invited again."
        ),
    )
}

fn without_key_package() -> Error {
    Error::new(
        Code::WelcomeWithoutKeyPackage,
        "No key package that this Welcome is for is in the keystore: it was used before, has expired, or belongs to another client. \
         Publish new key packages and ask to be invited again.",
    )
}
