//! GroupInfos, by which one joins from outside (RFC 9420 section 12.4.3.1).

use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{Extensions, LeafNode, MlsMessageBodyIn, MlsMessageIn, RatchetTreeIn};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tls_codec::DeserializeBytes;

use crate::codec::{decode, encode};
use crate::conversation::external_join::declares;
use crate::credential::CredentialRow;
use crate::error::{Code, Error, Result};
use crate::limits::MAX_MESSAGE;
use crate::member::{Member, identity};

/// A node of an unverified tree as OpenMLS serialises it: it offers nothing else to read these parts of it by.
#[derive(Deserialize)]
enum Node {
    LeafNode(Leaf),
    ParentNode(IgnoredAny),
}

#[derive(Deserialize)]
struct Leaf {
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    extensions: Extensions<LeafNode>,
}

fn nodes(tree: &RatchetTreeIn) -> Result<Vec<Option<Node>>> {
    decode(&encode(tree)?)
}

fn tree_of(info: &VerifiableGroupInfo) -> Result<&RatchetTreeIn> {
    let tree = info.extensions().ratchet_tree();
    Ok(tree.ok_or_else(|| invalid("it has no ratchet tree"))?.ratchet_tree())
}

/// Whether clients may join from outside by this GroupInfo: whether a leaf of its tree says so.
pub(crate) fn lets_join(info: &VerifiableGroupInfo) -> Result<bool> {
    let nodes = nodes(tree_of(info)?)?;
    Ok(nodes.iter().flatten().any(|node| match node {
        Node::LeafNode(leaf) => declares(&leaf.payload.extensions),
        Node::ParentNode(_) => false,
    }))
}

/// The leaf that this client has in the tree already, with its encoded encryption key: OpenMLS removes it, by its signature key, with the same commit.
pub(crate) fn former_leaves(info: &VerifiableGroupInfo, row: &CredentialRow) -> Result<Vec<(Member, Vec<u8>)>> {
    let tree = tree_of(info)?;
    let nodes = nodes(tree)?;
    let places = nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| matches!(node, Some(Node::LeafNode(_))));
    let signature_key = row.with_key().signature_key;
    let mut former = Vec::new();
    for ((place, _), leaf) in places.zip(tree.leaves()) {
        if *leaf.signature_key() == signature_key {
            let leaf_index = u32::try_from(place / 2).map_err(|_| invalid("its tree is too large"))?;
            let member = Member {
                client_id: identity(leaf.credential()),
                leaf_index,
                signature_key: signature_key.as_slice().to_vec(),
                credential_type: leaf.credential().credential_type().into(),
            };
            former.push((member, encode(leaf.encryption_key())?.to_vec()));
        }
    }
    Ok(former)
}

/// The GroupInfo in an MLSMessage; its signature is not checked yet.
pub(crate) fn read_group_info(bytes: &[u8]) -> Result<VerifiableGroupInfo> {
    if bytes.len() > MAX_MESSAGE {
        return Err(invalid("it is larger than any that is accepted"));
    }
    let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes)
        .map_err(|cause| invalid("the bytes are not an MLSMessage").caused_by(cause))?;
    match message.extract() {
        MlsMessageBodyIn::GroupInfo(info) => Ok(info),
        _ => Err(invalid("it is another kind of MLSMessage")),
    }
}

/// What is said of a GroupInfo that cannot be used.
pub(crate) fn invalid(what: &str) -> Error {
    let message = format!("The GroupInfo cannot be used: {what}. Fetch the newest one of this conversation.");
    Error::new(Code::GroupInfoInvalid, message)
}
