//! What a commit or proposal changes about the group context (RFC 9420 section 12.1.7).

use openmls::prelude::{Extension, Extensions, GroupContext};
use serde::{Deserialize, Serialize};
use tls_codec::{DeserializeBytes, Serialize as _, VLBytes};

/// The difference between two lists of extensions of a group context.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextPatch {
    /// Extensions that are set or, with `None`, taken away, by type in rising order; without required_capabilities.
    pub extensions: Vec<(u16, Option<serde_bytes::ByteBuf>)>,
    /// What becomes of the extension required_capabilities.
    pub requirements: RequirementsPatch,
}

/// What becomes of what all members must be able to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequirementsPatch {
    /// It stays as it is.
    #[default]
    Kept,
    /// It becomes this.
    Set(Requirements),
    /// Nothing is required any more.
    Dropped,
}

/// What all members must be able to do (RFC 9420 section 11.1), by the numbers of the types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirements {
    /// Extension types.
    pub extensions: Vec<u16>,
    /// Proposal types.
    pub proposals: Vec<u16>,
    /// Credential types.
    pub credentials: Vec<u16>,
}

impl ContextPatch {
    /// What makes `after` of `before`.
    pub(crate) fn between(before: &Extensions<GroupContext>, after: &Extensions<GroupContext>) -> ContextPatch {
        let (old, new) = (raw(before), raw(after));
        let set = new.iter().filter(|entry| !old.contains(entry));
        let set = set.map(|(kind, data)| (*kind, Some(serde_bytes::ByteBuf::from(data.clone()))));
        let gone = old
            .iter()
            .filter(|(kind, _)| new.iter().all(|(other, _)| other != kind));
        let mut extensions: Vec<_> = set.chain(gone.map(|(kind, _)| (*kind, None))).collect();
        extensions.sort();
        let requirements = match (requirements(before), requirements(after)) {
            (old, new) if old == new => RequirementsPatch::Kept,
            (_, Some(new)) => RequirementsPatch::Set(new),
            (_, None) => RequirementsPatch::Dropped,
        };
        ContextPatch {
            extensions,
            requirements,
        }
    }
}

/// The extensions but for required_capabilities, by type and content.
fn raw(extensions: &Extensions<GroupContext>) -> Vec<(u16, Vec<u8>)> {
    let others = extensions
        .iter()
        .filter(|extension| !matches!(extension, Extension::RequiredCapabilities(_)));
    // An extension is its type and its content, with its length before it; those that were read can be written.
    let parts = others.filter_map(|extension| {
        let written = extension.tls_serialize_detached().ok()?;
        let (kind, content) = written.split_first_chunk()?;
        let (content, _) = VLBytes::tls_deserialize_bytes(content).ok()?;
        Some((u16::from_be_bytes(*kind), content.as_slice().to_vec()))
    });
    parts.collect()
}

fn requirements(extensions: &Extensions<GroupContext>) -> Option<Requirements> {
    let required = extensions.required_capabilities()?;
    Some(Requirements {
        extensions: required.extension_types().iter().map(|kind| u16::from(*kind)).collect(),
        proposals: required.proposal_types().iter().map(|kind| u16::from(*kind)).collect(),
        credentials: required
            .credential_types()
            .iter()
            .map(|kind| u16::from(*kind))
            .collect(),
    })
}
