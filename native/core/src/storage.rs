//! OpenMLS' storage, over the rows of the [`Keystore`].
//!
//! Writes only change the write-back map, so they cannot fail half-way; what is stored together is decided by the caller
//! of the step. The rows of a group have the encoded group id as their scope.

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod message_secrets;
mod place;
mod split;
#[cfg(test)]
mod tests;

use openmls_traits::storage::{CURRENT_VERSION as V, StorageProvider, traits};
use serde::{Serialize, de::DeserializeOwned};

use std::cell::RefCell;

use crate::codec::{decode_of, encode};
use crate::error::{Error, Result};
use crate::keystore::{Entity, Keystore};
pub(crate) use message_secrets::Changes;
use message_secrets::Expected;

/// The OpenMLS storage provider.
pub(crate) struct Storage {
    pub(crate) keystore: Keystore,
    expected: Expected,
    /// What failed first since somebody asked: OpenMLS may keep it to itself.
    failure: RefCell<Option<Error>>,
    /// The message secrets that were written last, as one value.
    #[cfg(test)]
    written: std::cell::RefCell<crate::codec::Secret>,
}

impl Storage {
    pub(crate) fn over(keystore: Keystore) -> Self {
        Storage {
            keystore,
            expected: Expected::default(),
            failure: RefCell::default(),
            #[cfg(test)]
            written: Default::default(),
        }
    }

    pub(crate) fn write(
        &self,
        entity: Entity,
        scope: &[u8],
        key: &[u8],
        value: &(impl Serialize + ?Sized),
    ) -> Result<()> {
        self.keystore.rows().put(entity, scope, key, encode(value)?);
        Ok(())
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, entity: Entity, scope: &[u8], key: &[u8]) -> Result<Option<T>> {
        self.noting(|| {
            let value = self.keystore.rows().get(entity, scope, key)?;
            value.map(|bytes| decode_of(scope, &bytes)).transpose()
        })
    }

    /// The rows of one kind of a group, decoded, in order.
    fn list<T: DeserializeOwned>(&self, entity: Entity, scope: &[u8]) -> Result<Vec<T>> {
        self.noting(|| {
            let rows = self.keystore.rows().list(entity, scope)?;
            rows.iter().map(|(_, value)| decode_of(scope, value)).collect()
        })
    }

    /// Does work of which no access to the storage may fail. Where one does, the whole work has
    /// failed, and this is why: OpenMLS has many words for that, among them those for a message
    /// that is not valid.
    pub(crate) fn watching<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        let before = self.failure.take();
        let result = work();
        match self.failure.replace(before) {
            Some(failure) => Err(failure),
            None => result,
        }
    }

    fn noting<R>(&self, access: impl FnOnce() -> Result<R>) -> Result<R> {
        access().inspect_err(|error| {
            self.failure.borrow_mut().get_or_insert_with(|| error.clone());
        })
    }

    fn delete(&self, entity: Entity, scope: &[u8], key: &[u8]) -> Result<()> {
        self.keystore.rows().delete(entity, scope, key);
        Ok(())
    }

    fn write_of_group(&self, entity: Entity, group: &impl Serialize, value: &impl Serialize) -> Result<()> {
        self.write(entity, &encode(group)?, &[], value)
    }

    fn read_of_group<T: DeserializeOwned>(&self, entity: Entity, group: &impl Serialize) -> Result<Option<T>> {
        self.read(entity, &encode(group)?, &[])
    }

    fn delete_of_group(&self, entity: Entity, group: &impl Serialize) -> Result<()> {
        self.delete(entity, &encode(group)?, &[])
    }

    /// Deletes the rows of one kind of a group, without reading them.
    fn delete_all(&self, entity: Entity, scope: &[u8]) -> Result<()> {
        self.noting(|| {
            for key in self.keystore.rows().keys(entity, scope)? {
                self.delete(entity, scope, &key)?;
            }
            Ok(())
        })
    }

    /// The key after the last one of a group's rows of one kind, which are numbered.
    fn next_position(&self, entity: Entity, scope: &[u8]) -> Result<[u8; 8]> {
        self.noting(|| {
            let Some(last) = self.keystore.rows().last_key(entity, scope)? else {
                return Ok([0; 8]);
            };
            let last = last.as_slice().try_into().ok().map(u64::from_be_bytes);
            let next = last.and_then(|last| last.checked_add(1));
            next.map(u64::to_be_bytes).ok_or_else(|| Error::damaged(scope))
        })
    }

    /// The key of the encryption key pairs of one leaf in one epoch.
    pub(crate) fn epoch_key(epoch: &impl Serialize, leaf: u32) -> Result<Vec<u8>> {
        let mut key = encode(epoch)?.to_vec();
        key.extend_from_slice(&leaf.to_be_bytes());
        Ok(key)
    }
}

/// A value that a group has once: its writer, reader and deleter. The order of the type parameters is OpenMLS'.
macro_rules! group_value {
    ($entity:ident: $write:ident<$($w:ident: $wt:ident),+>($value:ident), $read:ident<$($r:ident: $rt:ident),+>, $delete:ident) => {
        group_value!($entity: $write<$($w: $wt),+>($value), $read<$($r: $rt),+>($value));
        fn $delete<GroupId: traits::GroupId<V>>(&self, group: &GroupId) -> Result<()> {
            self.delete_of_group(Entity::$entity, group)
        }
    };
    ($entity:ident: $write:ident<$($w:ident: $wt:ident),+>($value:ident), $read:ident<$($r:ident: $rt:ident),+>($_:ident)) => {
        fn $write<$($w: traits::$wt<V>),+>(&self, group: &GroupId, value: &$value) -> Result<()> {
            self.write_of_group(Entity::$entity, group, value)
        }
        fn $read<$($r: traits::$rt<V>),+>(&self, group: &GroupId) -> Result<Option<$value>> {
            self.read_of_group(Entity::$entity, group)
        }
    };
}

/// A value found by a key of its own: its writer, reader and deleter.
macro_rules! keyed_value {
    ($entity:ident: $write:ident<$($w:ident: $wt:ident),+>, $read:ident<$($r:ident: $rt:ident),+>, $delete:ident, $key:ident: $kt:ident => $value:ident) => {
        fn $write<$($w: traits::$wt<V>),+>(&self, key: &$key, value: &$value) -> Result<()> {
            self.write(Entity::$entity, &[], &encode(key)?, value)
        }
        fn $read<$($r: traits::$rt<V>),+>(&self, key: &$key) -> Result<Option<$value>> {
            self.read(Entity::$entity, &[], &encode(key)?)
        }
        fn $delete<$key: traits::$kt<V>>(&self, key: &$key) -> Result<()> {
            self.delete(Entity::$entity, &[], &encode(key)?)
        }
    };
}

impl StorageProvider<V> for Storage {
    type Error = Error;

    group_value!(JoinConfig: write_mls_join_config<GroupId: GroupId, Config: MlsGroupJoinConfig>(Config),
        mls_group_join_config<GroupId: GroupId, Config: MlsGroupJoinConfig>, delete_group_config);
    group_value!(Tree: write_tree<GroupId: GroupId, Tree: TreeSync>(Tree),
        tree<GroupId: GroupId, Tree: TreeSync>, delete_tree);
    group_value!(InterimTranscriptHash: write_interim_transcript_hash<GroupId: GroupId, Hash: InterimTranscriptHash>(Hash),
        interim_transcript_hash<GroupId: GroupId, Hash: InterimTranscriptHash>, delete_interim_transcript_hash);
    group_value!(Context: write_context<GroupId: GroupId, Context: GroupContext>(Context),
        group_context<GroupId: GroupId, Context: GroupContext>, delete_context);
    group_value!(ConfirmationTag: write_confirmation_tag<GroupId: GroupId, Tag: ConfirmationTag>(Tag),
        confirmation_tag<GroupId: GroupId, Tag: ConfirmationTag>, delete_confirmation_tag);
    group_value!(GroupState: write_group_state<State: GroupState, GroupId: GroupId>(State),
        group_state<State: GroupState, GroupId: GroupId>, delete_group_state);
    group_value!(ResumptionPskStore: write_resumption_psk_store<GroupId: GroupId, Store: ResumptionPskStore>(Store),
        resumption_psk_store<GroupId: GroupId, Store: ResumptionPskStore>, delete_all_resumption_psk_secrets);
    group_value!(OwnLeafIndex: write_own_leaf_index<GroupId: GroupId, Index: LeafNodeIndex>(Index),
        own_leaf_index<GroupId: GroupId, Index: LeafNodeIndex>, delete_own_leaf_index);
    group_value!(EpochSecrets: write_group_epoch_secrets<GroupId: GroupId, Secrets: GroupEpochSecrets>(Secrets),
        group_epoch_secrets<GroupId: GroupId, Secrets: GroupEpochSecrets>, delete_group_epoch_secrets);

    keyed_value!(SignatureKeyPair: write_signature_key_pair<Key: SignaturePublicKey, Pair: SignatureKeyPair>,
        signature_key_pair<Key: SignaturePublicKey, Pair: SignatureKeyPair>, delete_signature_key_pair, Key: SignaturePublicKey => Pair);
    keyed_value!(EncryptionKeyPair: write_encryption_key_pair<Key: EncryptionKey, Pair: HpkeKeyPair>,
        encryption_key_pair<Pair: HpkeKeyPair, Key: EncryptionKey>, delete_encryption_key_pair, Key: EncryptionKey => Pair);
    keyed_value!(KeyPackageBundle: write_key_package<Key: HashReference, Bundle: KeyPackage>,
        key_package<Key: HashReference, Bundle: KeyPackage>, delete_key_package, Key: HashReference => Bundle);
    keyed_value!(Psk: write_psk<Key: PskId, Bundle: PskBundle>,
        psk<Bundle: PskBundle, Key: PskId>, delete_psk, Key: PskId => Bundle);

    fn write_message_secrets<GroupId: traits::GroupId<V>, Secrets: traits::MessageSecrets<V>>(
        &self,
        group: &GroupId,
        secrets: &Secrets,
    ) -> Result<()> {
        let scope = encode(group)?;
        self.noting(|| self.put_message_secrets(&scope, secrets))
    }

    fn message_secrets<GroupId: traits::GroupId<V>, Secrets: traits::MessageSecrets<V>>(
        &self,
        group: &GroupId,
    ) -> Result<Option<Secrets>> {
        let scope = encode(group)?;
        self.noting(|| self.message_secrets_of(&scope))
    }

    fn delete_message_secrets<GroupId: traits::GroupId<V>>(&self, group: &GroupId) -> Result<()> {
        self.delete_all(Entity::MessageSecrets, &encode(group)?)
    }

    fn own_leaf_nodes<GroupId: traits::GroupId<V>, LeafNode: traits::LeafNode<V>>(
        &self,
        group: &GroupId,
    ) -> Result<Vec<LeafNode>> {
        self.list(Entity::OwnLeafNodes, &encode(group)?)
    }

    fn append_own_leaf_node<GroupId: traits::GroupId<V>, LeafNode: traits::LeafNode<V>>(
        &self,
        group: &GroupId,
        leaf_node: &LeafNode,
    ) -> Result<()> {
        let scope = encode(group)?;
        let position = self.next_position(Entity::OwnLeafNodes, &scope)?;
        self.write(Entity::OwnLeafNodes, &scope, &position, leaf_node)
    }

    fn delete_own_leaf_nodes<GroupId: traits::GroupId<V>>(&self, group: &GroupId) -> Result<()> {
        let scope = encode(group)?;
        self.delete_all(Entity::OwnLeafNodes, &scope)
    }

    // The reference is stored inside the value: the order of the queue is the order of the rows' keys.
    fn queue_proposal<
        GroupId: traits::GroupId<V>,
        ProposalRef: traits::ProposalRef<V>,
        QueuedProposal: traits::QueuedProposal<V>,
    >(
        &self,
        group: &GroupId,
        reference: &ProposalRef,
        proposal: &QueuedProposal,
    ) -> Result<()> {
        let scope = encode(group)?;
        let position = self.next_position(Entity::Proposal, &scope)?;
        self.write(Entity::Proposal, &scope, &position, &(reference, proposal))
    }

    fn queued_proposals<
        GroupId: traits::GroupId<V>,
        ProposalRef: traits::ProposalRef<V>,
        QueuedProposal: traits::QueuedProposal<V>,
    >(
        &self,
        group: &GroupId,
    ) -> Result<Vec<(ProposalRef, QueuedProposal)>> {
        self.list(Entity::Proposal, &encode(group)?)
    }

    fn queued_proposal_refs<GroupId: traits::GroupId<V>, ProposalRef: traits::ProposalRef<V>>(
        &self,
        group: &GroupId,
    ) -> Result<Vec<ProposalRef>> {
        let queued: Vec<(ProposalRef, serde::de::IgnoredAny)> = self.list(Entity::Proposal, &encode(group)?)?;
        Ok(queued.into_iter().map(|(reference, _)| reference).collect())
    }

    fn remove_proposal<GroupId: traits::GroupId<V>, ProposalRef: traits::ProposalRef<V>>(
        &self,
        group: &GroupId,
        reference: &ProposalRef,
    ) -> Result<()> {
        let scope = encode(group)?;
        let wanted = encode(reference)?;
        self.noting(|| {
            for (key, value) in self.keystore.rows().list(Entity::Proposal, &scope)? {
                let (stored, _): (ProposalRef, serde::de::IgnoredAny) = decode_of(&scope, &value)?;
                if *encode(&stored)? == *wanted {
                    self.delete(Entity::Proposal, &scope, &key)?;
                }
            }
            Ok(())
        })
    }

    fn clear_proposal_queue<GroupId: traits::GroupId<V>, ProposalRef: traits::ProposalRef<V>>(
        &self,
        group: &GroupId,
    ) -> Result<()> {
        let scope = encode(group)?;
        self.delete_all(Entity::Proposal, &scope)
    }

    fn write_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<V>,
        EpochKey: traits::EpochKey<V>,
        HpkeKeyPair: traits::HpkeKeyPair<V>,
    >(
        &self,
        group: &GroupId,
        epoch: &EpochKey,
        leaf: u32,
        pairs: &[HpkeKeyPair],
    ) -> Result<()> {
        self.write(
            Entity::EpochKeyPairs,
            &encode(group)?,
            &Self::epoch_key(epoch, leaf)?,
            pairs,
        )
    }

    fn encryption_epoch_key_pairs<
        GroupId: traits::GroupId<V>,
        EpochKey: traits::EpochKey<V>,
        HpkeKeyPair: traits::HpkeKeyPair<V>,
    >(
        &self,
        group: &GroupId,
        epoch: &EpochKey,
        leaf: u32,
    ) -> Result<Vec<HpkeKeyPair>> {
        let pairs = self.read(Entity::EpochKeyPairs, &encode(group)?, &Self::epoch_key(epoch, leaf)?)?;
        Ok(pairs.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<GroupId: traits::GroupId<V>, EpochKey: traits::EpochKey<V>>(
        &self,
        group: &GroupId,
        epoch: &EpochKey,
        leaf: u32,
    ) -> Result<()> {
        self.delete(Entity::EpochKeyPairs, &encode(group)?, &Self::epoch_key(epoch, leaf)?)
    }
}
