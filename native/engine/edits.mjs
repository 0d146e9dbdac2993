/**
 * What we change in the released OpenMLS. README.md beside this file says why, by the names here.
 *
 * Each `find` is in its file exactly once; scripts/ensure/engine.mjs puts `replace` in its place, and fails where it is not.
 */
export const edits = [
  {
    name: "received-key-package-without-clock",
    file: "src/key_packages/key_package_in.rs",
    find: `
        if let Some(life_time) = key_package.payload.leaf_node.life_time() {
            life_time.validate()?;
        } else {`,
    replace: `
        if key_package.payload.leaf_node.life_time().is_none() {`,
  },
  {
    name: "received-leaf-without-clock",
    file: "src/group/public_group/validation.rs",
    find: `
        // Call the validation function and validate the lifetime
        self.validate_leaf_node_inner(leaf_node, LeafNodeLifetimePolicy::Verify)`,
    replace: `
        self.validate_leaf_node_inner(leaf_node, LeafNodeLifetimePolicy::Skip)`,
  },
  {
    name: "grease-extension-type",
    file: "src/extensions/mod.rs",
    find: `
            Extension::Unknown(kind, _) => ExtensionType::Unknown(*kind),`,
    replace: `
            Extension::Unknown(kind, _) => match crate::grease::is_grease_value(*kind) {
                true => ExtensionType::Grease(*kind),
                false => ExtensionType::Unknown(*kind),
            },`,
  },
  {
    name: "grease-in-key-package",
    file: "src/key_packages/key_package_in.rs",
    find: `
        if !key_package
            .payload
            .leaf_node
            .capabilities()
            .contains_extensions(&key_package.payload.extensions)
        {`,
    replace: `
        if key_package.payload.extensions.iter().any(|extension| {
            let kind = extension.extension_type();
            !kind.is_grease() && !key_package.payload.leaf_node.supports_extension(&kind)
        }) {`,
  },
  {
    name: "group-context-against-leaves",
    file: "src/group/public_group/validation.rs",
    find: `
        proposal_queue: &ProposalQueue,
    ) -> Result<(), GroupContextExtensionsProposalValidationError> {`,
    replace: `
        proposal_queue: &ProposalQueue,
        committer: &Sender,
        path_leaf: Option<&LeafNode>,
    ) -> Result<(), GroupContextExtensionsProposalValidationError> {`,
  },
  {
    name: "group-context-against-leaves",
    file: "src/group/public_group/validation.rs",
    find: `
                    // If there is a RequiredCapabilitiesExtension in the proposal, validate it and
                    // use that. Otherwise, use the empty default one.
                    let required_capabilities = match required_capabilities_in_proposal {
                        Some(required_capabilities_new) => {
                            // If a group context extensions proposal updates the required capabilities, we
                            // need to check that these are satisfied for all existing members of the group.
                            self.check_extension_support(required_capabilities_new.extension_types()).map_err(|_| GroupContextExtensionsProposalValidationError::RequiredExtensionNotSupportedByAllMembers)?;
                            required_capabilities_new
                        }
                        None => &default_required_capabilities,
                    };

                    // Make sure that all other extensions are known to be supported, by checking
                    // that they are default extensions or included in the required capabilities.
                    let all_extensions_are_in_required_capabilities: bool = extensions
                        .extensions()
                        .iter()
                        .map(|ext| ext.extension_type())
                        .all(|ext_type| {
                            ext_type.is_default()
                                || required_capabilities.requires_extension_type_support(ext_type)
                        });

                    if !all_extensions_are_in_required_capabilities {
                        return Err(GroupContextExtensionsProposalValidationError::ExtensionNotInRequiredCapabilities);
                    }
                }`,
    replace: `
                    let required_capabilities =
                        required_capabilities_in_proposal.unwrap_or(&default_required_capabilities);

                    // All leaves of the tree after the commit. The committer gets a new leaf by the
                    // path, which this proposal requires; a commit that is being built has none yet,
                    // and the builder checks that leaf by itself.
                    let mut leaves: Vec<&LeafNode> = path_leaf.into_iter().collect();
                    let mut replaced = HashSet::<LeafNodeIndex>::from_iter(committer.as_member());
                    for queued in proposal_queue.queued_proposals() {
                        match queued.proposal() {
                            Proposal::Add(add) => leaves.push(add.key_package().leaf_node()),
                            Proposal::Update(update) => {
                                leaves.push(update.leaf_node());
                                replaced.extend(queued.sender().as_member());
                            }
                            Proposal::Remove(remove) => replaced.extend([remove.removed()]),
                            Proposal::SelfRemove => replaced.extend(queued.sender().as_member()),
                            _ => (),
                        }
                    }
                    let staying = self.treesync().full_leaves();
                    leaves.extend(
                        staying.filter_map(|(index, leaf)| (!replaced.contains(&index)).then_some(leaf)),
                    );

                    for leaf in leaves {
                        if !leaf.capabilities().contains_extensions(extensions.extensions()) {
                            return Err(GroupContextExtensionsProposalValidationError::ExtensionNotSupportedByAllMembers);
                        }
                        leaf.capabilities()
                            .supports_required_capabilities(required_capabilities)
                            .map_err(|_| GroupContextExtensionsProposalValidationError::RequiredExtensionNotSupportedByAllMembers)?;
                    }
                }`,
  },
  {
    name: "group-context-against-leaves",
    file: "src/group/public_group/staged_commit.rs",
    find: `
        self.validate_group_context_extensions_proposal(&proposal_queue)?;`,
    replace: `
        let path_leaf = commit.path.as_ref().map(|path| path.leaf_node());
        self.validate_group_context_extensions_proposal(&proposal_queue, sender, path_leaf)?;`,
  },
  {
    name: "group-context-against-leaves",
    file: "src/group/mls_group/commit_builder.rs",
    find: `
            .validate_group_context_extensions_proposal(&proposal_queue)?;`,
    replace: `
            .validate_group_context_extensions_proposal(&proposal_queue, &sender, None)?;`,
  },
  {
    name: "own-message-generation",
    file: "src/framing/validation.rs",
    find: `
    OwnPrivateMessage {
        epoch: GroupEpoch,`,
    replace: `
    OwnPrivateMessage {
        generation: u32,
        epoch: GroupEpoch,`,
  },
  {
    name: "own-message-generation",
    file: "src/framing/validation.rs",
    find: `
            return Ok(InboundDecryptionResult::OwnPrivateMessage {
                epoch: ciphertext.epoch(),`,
    replace: `
            return Ok(InboundDecryptionResult::OwnPrivateMessage {
                generation: sender_data.generation,
                epoch: ciphertext.epoch(),`,
  },
  {
    name: "own-message-generation",
    file: "src/framing/validation.rs",
    find: `
    OwnPrivateMessage,`,
    replace: `
    OwnPrivateMessage {
        /// The generation that the sender data names.
        generation: u32,
    },`,
  },
  {
    name: "own-message-generation",
    file: "src/group/mls_group/processing.rs",
    find: `
    OwnPrivateMessage {
        epoch: GroupEpoch,`,
    replace: `
    OwnPrivateMessage {
        generation: u32,
        epoch: GroupEpoch,`,
  },
  {
    name: "own-message-generation",
    file: "src/group/mls_group/processing.rs",
    find: `
            UnprotectedMessage::OwnPrivateMessage {
                epoch,`,
    replace: `
            UnprotectedMessage::OwnPrivateMessage {
                generation,
                epoch,`,
  },
  {
    name: "own-message-generation",
    file: "src/group/mls_group/processing.rs",
    find: `
                    ProcessedMessageContent::OwnPrivateMessage,`,
    replace: `
                    ProcessedMessageContent::OwnPrivateMessage { generation },`,
  },
  {
    name: "own-message-generation",
    file: "src/group/mls_group/processing.rs",
    find: `
            InboundDecryptionResult::OwnPrivateMessage {
                epoch,
                authenticated_data,
            } => {
                return Ok(UnprotectedMessage::OwnPrivateMessage {
                    epoch,`,
    replace: `
            InboundDecryptionResult::OwnPrivateMessage {
                generation,
                epoch,
                authenticated_data,
            } => {
                return Ok(UnprotectedMessage::OwnPrivateMessage {
                    generation,
                    epoch,`,
  },
  {
    name: "gate-before-group-info",
    file: "src/messages/group_info.rs",
    find: `
const SIGNATURE_GROUP_INFO_LABEL: &str = "GroupInfoTBS";
`,
    replace: `
const SIGNATURE_GROUP_INFO_LABEL: &str = "GroupInfoTBS";

/// Says whether the GroupInfo of a Welcome, as it was decrypted, may be decoded.
pub static GROUP_INFO_GATE: std::sync::OnceLock<fn(&[u8]) -> bool> = std::sync::OnceLock::new();
`,
  },
  {
    name: "gate-before-group-info",
    file: "src/messages/group_info.rs",
    find: `
        let mut verifiable_group_info_plaintext_slice = verifiable_group_info_plaintext.as_slice();
`,
    replace: `
        let gate = GROUP_INFO_GATE.get();
        if gate.is_some_and(|may_be_decoded| !may_be_decoded(&verifiable_group_info_plaintext)) {
            return Err(GroupInfoError::Malformed);
        }
        let mut verifiable_group_info_plaintext_slice = verifiable_group_info_plaintext.as_slice();
`,
  },
  {
    name: "committer-of-missing-proposal",
    file: "src/group/errors.rs",
    find: `
    /// The committer can't remove themselves.
    #[error("The committer can't remove themselves.")]
    AttemptedSelfRemoval,
    /// The proposal queue is missing a proposal for the commit.
    #[error("The proposal queue is missing a proposal for the commit.")]
    MissingProposal,`,
    replace: `
    /// The committer can't remove themselves.
    #[error("The committer can't remove themselves.")]
    AttemptedSelfRemoval,
    /// The proposal queue is missing a proposal for the commit.
    #[error("The proposal queue is missing a proposal for the commit.")]
    MissingProposal {
        /// Who has signed the commit; none: a client that joins from outside.
        committer: Option<crate::binary_tree::LeafNodeIndex>,
    },`,
  },
  {
    name: "committer-of-missing-proposal",
    file: "src/group/public_group/staged_commit.rs",
    find: `
                FromCommittedProposalsError::ProposalNotFound => StageCommitError::MissingProposal,`,
    replace: `
                FromCommittedProposalsError::ProposalNotFound => StageCommitError::MissingProposal {
                    committer: sender.as_member(),
                },`,
  },
];
