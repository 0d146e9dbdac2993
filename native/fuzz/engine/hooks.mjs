/**
 * What makes of OpenMLS a hostile member: where it calls hook.rs beside this file. Applied after the
 * edits of native/engine/, in the same way, to a copy that only native/fuzz/ is built with.
 */
const TEST_ONLY = `#[cfg(any(feature = "test-utils", test))]`;

/** Conversions from what was read to what is sent, which OpenMLS has for its tests alone. */
const conversion = (file, impl) => ({
  name: "unchecked-conversions",
  file,
  find: `${TEST_ONLY}\n${impl}`,
  replace: impl,
});

/** A check that returns at once while a hook is set. `head` ends with the brace that opens its body. */
const unchecked = (file, head, answer) => ({
  name: "no-checks-while-hooked",
  file,
  find: head,
  replace: `${head}
        if crate::hook::is_on() {
            ${answer}
        }`,
});

const VALIDATION = "src/group/public_group/validation.rs";
const ofQueue = (name, error) =>
  unchecked(
    VALIDATION,
    `
    pub(crate) fn ${name}(
        &self,
        proposal_queue: &ProposalQueue,
    ) -> Result<(), ${error}> {`,
    "return Ok(());",
  );

export const hooks = [
  {
    name: "hook-module",
    file: "src/lib.rs",
    find: `
pub mod group;`,
    replace: `
pub mod group;
pub mod hook;`,
  },

  conversion("src/framing/mls_content_in.rs", "impl From<FramedContentBodyIn> for FramedContentBody {"),
  conversion(
    "src/framing/mls_content_in.rs",
    "impl From<FramedContentIn> for crate::framing::mls_content::FramedContent {",
  ),
  conversion("src/extensions/mod.rs", "impl Extensions<AnyObject> {\n    /// Coerces"),
  conversion("src/messages/mod.rs", "impl From<CommitIn> for Commit {"),
  conversion("src/messages/proposals_in.rs", "impl From<AddProposalIn> for AddProposal {"),
  conversion("src/messages/proposals_in.rs", "impl From<AddProposalIn> for Box<AddProposal> {"),
  conversion("src/messages/proposals_in.rs", "impl From<UpdateProposalIn> for UpdateProposal {"),
  conversion("src/messages/proposals_in.rs", "impl From<UpdateProposalIn> for Box<UpdateProposal> {"),
  conversion(
    "src/messages/proposals_in.rs",
    "impl From<GroupContextExtensionProposalIn> for GroupContextExtensionProposal {",
  ),
  conversion(
    "src/messages/proposals_in.rs",
    "impl From<GroupContextExtensionProposalIn> for Box<GroupContextExtensionProposal> {",
  ),
  conversion("src/messages/proposals_in.rs", "impl From<ProposalIn> for crate::messages::proposals::Proposal {"),
  conversion(
    "src/messages/proposals_in.rs",
    "impl From<ProposalOrRefIn> for crate::messages::proposals::ProposalOrRef {",
  ),
  conversion("src/treesync/node/leaf_node.rs", "impl From<LeafNodeIn> for LeafNode {"),
  conversion("src/treesync/treekem.rs", "impl From<UpdatePathIn> for UpdatePath {"),
  conversion("src/key_packages/key_package_in.rs", "impl From<KeyPackageTbsIn> for KeyPackageTbs {"),
  conversion("src/key_packages/key_package_in.rs", "impl From<KeyPackageIn> for KeyPackage {"),

  {
    name: "signed-content",
    file: "src/framing/mls_auth_content.rs",
    find: `
        if matches!(sender, Sender::NewMemberCommit | Sender::Member(_)) {`,
    replace: `
        content_tbs.content = crate::hook::value::<_, super::mls_content_in::FramedContentIn>(
            crate::hook::Point::Content,
            content_tbs.content,
        );
        if matches!(sender, Sender::NewMemberCommit | Sender::Member(_)) {`,
  },
  {
    name: "signed-leaf-node",
    file: "src/treesync/node/leaf_node.rs",
    find: `
            leaf_node_source,
            extensions,
        };

        LeafNodeTbs {`,
    replace: `
            leaf_node_source,
            extensions,
        };
        let payload =
            crate::hook::value::<_, LeafNodePayload>(crate::hook::Point::LeafNode, payload);

        LeafNodeTbs {`,
  },
  {
    name: "signed-leaf-node",
    file: "src/treesync/node/leaf_node.rs",
    find: `
        let leaf_node = leaf_node_tbs.sign(signer)?;
        self.payload = leaf_node.payload;`,
    replace: `
        leaf_node_tbs.payload = crate::hook::value::<_, LeafNodePayload>(
            crate::hook::Point::LeafNode,
            leaf_node_tbs.payload,
        );
        let leaf_node = leaf_node_tbs.sign(signer)?;
        self.payload = leaf_node.payload;`,
  },
  {
    name: "signed-group-info",
    file: "src/messages/group_info.rs",
    find: `
        Ok(Self {
            group_context,
            extensions,
            confirmation_tag,
            signer,
        })`,
    replace: `
        Ok(crate::hook::value::<_, Self>(
            crate::hook::Point::GroupInfo,
            Self {
                group_context,
                extensions,
                confirmation_tag,
                signer,
            },
        ))`,
  },
  {
    name: "encrypted-content",
    file: "src/framing/private_message.rs",
    find: `
                &Self::encode_padded_ciphertext_content_detached(
                    public_message,
                    padding_size,
                    ciphersuite.mac_length(),
                )
                .map_err(LibraryError::missing_bound_check)?,`,
    replace: `
                &crate::hook::bytes(
                    crate::hook::Point::PrivateContent,
                    Self::encode_padded_ciphertext_content_detached(
                        public_message,
                        padding_size,
                        ciphersuite.mac_length(),
                    )
                    .map_err(LibraryError::missing_bound_check)?,
                ),`,
  },
  {
    name: "encrypted-sender-data",
    file: "src/framing/private_message.rs",
    find: `
                &sender_data
                    .tls_serialize_detached()
                    .map_err(LibraryError::missing_bound_check)?,`,
    replace: `
                &crate::hook::bytes(
                    crate::hook::Point::SenderData,
                    sender_data
                        .tls_serialize_detached()
                        .map_err(LibraryError::missing_bound_check)?,
                ),`,
  },
  {
    name: "encrypted-group-info",
    file: "src/group/mls_group/commit_builder.rs",
    find: `
                            group_info
                                .tls_serialize_detached()
                                .map_err(LibraryError::missing_bound_check)?
                                .as_slice(),`,
    replace: `
                            crate::hook::bytes(
                                crate::hook::Point::WelcomeInfo,
                                group_info
                                    .tls_serialize_detached()
                                    .map_err(LibraryError::missing_bound_check)?,
                            )
                            .as_slice(),`,
  },
  {
    name: "encrypted-group-secrets",
    file: "src/treesync/treekem.rs",
    find: `
                GroupSecrets::new_encoded(joiner_secret, path_secret_option, presharedkeys)
                    .map_err(LibraryError::missing_bound_check)?;`,
    replace: `
                GroupSecrets::new_encoded(joiner_secret, path_secret_option, presharedkeys)
                    .map_err(LibraryError::missing_bound_check)?;
            let group_secrets_bytes =
                crate::hook::bytes(crate::hook::Point::WelcomeSecrets, group_secrets_bytes);`,
  },

  ofQueue("validate_proposal_type_support", "ProposalValidationError"),
  ofQueue("validate_capabilities", "ProposalValidationError"),
  ofQueue("validate_add_proposals", "ProposalValidationError"),
  ofQueue("validate_remove_proposals", "ProposalValidationError"),
  ofQueue("validate_pre_shared_key_proposals", "ProposalValidationError"),
  ofQueue("validate_external_commit", "ExternalCommitValidationError"),
  unchecked(
    VALIDATION,
    `
        proposal_queue: &ProposalQueue,
        commit: Option<&Commit>,
    ) -> Result<(), ProposalValidationError> {`,
    "return Ok(());",
  ),
  unchecked(
    VALIDATION,
    `
        proposal_queue: &ProposalQueue,
        committer: LeafNodeIndex,
    ) -> Result<(), ProposalValidationError> {`,
    "return Ok(());",
  ),
  unchecked(
    VALIDATION,
    `
        committer: &Sender,
        path_leaf: Option<&LeafNode>,
    ) -> Result<(), GroupContextExtensionsProposalValidationError> {`,
    "return Ok(());",
  ),
  unchecked(
    "src/group/mls_group/proposal_store.rs",
    `
        iter: impl IntoIterator<Item = QueuedProposal>,
        own_index: LeafNodeIndex,
    ) -> Result<(Self, bool), ProposalQueueError> {`,
    `let mut queue = ProposalQueue::default();
            iter.into_iter().for_each(|queued| queue.add(queued));
            return Ok((queue, false));`,
  ),
  {
    name: "no-checks-while-hooked",
    file: "src/group/mls_group/commit_builder.rs",
    find: `
        if let Some(ref leaf_node) = update_path_leaf_node {`,
    replace: `
        if let (Some(leaf_node), false) = (&update_path_leaf_node, crate::hook::is_on()) {`,
  },
];
