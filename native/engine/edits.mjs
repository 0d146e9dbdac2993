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
];
