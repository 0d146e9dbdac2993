//! GroupInfos, by which one joins from outside (RFC 9420 section 12.4.3.1).

use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{MlsMessageBodyIn, MlsMessageIn};
use openmls_traits::OpenMlsProvider;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tls_codec::DeserializeBytes;

use crate::codec::{decode, encode};
use crate::conversation::external_join::lets_join;
use crate::credential::CredentialRow;
use crate::error::{Code, Error, Result};
use crate::frame::{Flaw, Frame, read};
use crate::member::{Member, identity};
use crate::provider::Provider;

/// The leaf that this client has in the tree already, with its encoded encryption key: OpenMLS removes it, by its signature key, with the same commit.
pub(crate) fn former_leaves(info: &VerifiableGroupInfo, row: &CredentialRow) -> Result<Vec<(Member, Vec<u8>)>> {
    /// A node as OpenMLS serialises it, of which only the place matters here.
    #[derive(Deserialize)]
    enum Node {
        LeafNode(IgnoredAny),
        ParentNode(IgnoredAny),
    }
    let Some(tree) = info.extensions().ratchet_tree() else {
        return Err(invalid("it has no ratchet tree"));
    };
    let tree = tree.ratchet_tree();
    let nodes: Vec<Option<Node>> = decode(&encode(tree)?)?;
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

/// The GroupInfo in an MLSMessage. It is decoded only when a leaf of its ratchet tree has signed
/// it. That proves nothing about who that leaf is. Answers also whether clients may join from outside by it.
pub(crate) fn read_group_info(provider: &Provider, bytes: &[u8]) -> Result<(VerifiableGroupInfo, bool)> {
    let info = match read(bytes) {
        Ok(Frame::GroupInfo(info)) => info,
        Ok(_) => return Err(invalid("it is another kind of MLSMessage")),
        Err(flaw @ Flaw::TooLarge) => return Err(invalid("it is larger than any that is accepted").caused_by(flaw)),
        Err(flaw) => return Err(invalid("the bytes are not an MLSMessage").caused_by(flaw)),
    };
    if !info.is_signed(provider.crypto()) {
        return Err(invalid("the leaf that it names has not signed it"));
    }
    let open = lets_join(&info);
    let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes)
        .map_err(|cause| invalid("its contents are not valid").caused_by(cause))?;
    match message.extract() {
        MlsMessageBodyIn::GroupInfo(info) => Ok((info, open)),
        _ => Err(invalid("it is another kind of MLSMessage")),
    }
}

/// What is said of a GroupInfo that cannot be used.
pub(crate) fn invalid(what: &str) -> Error {
    let message = format!("The GroupInfo cannot be used: {what}. Fetch the newest one of this conversation.");
    Error::new(Code::GroupInfoInvalid, message)
}
