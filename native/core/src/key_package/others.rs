//! Key packages of others: what is checked before somebody is added by one, each fault with its sentence.

use openmls::key_packages::errors::KeyPackageVerifyError;
use openmls::prelude::{
    Ciphersuite, CredentialType, Extension, KeyPackage, KeyPackageIn, MlsMessageBodyIn, MlsMessageIn, OpenMlsCrypto,
    ProtocolVersion,
};
use tls_codec::DeserializeBytes;

use crate::conversation::hpke_key::written_key_can_be_encrypted_to;
use crate::conversation::policy::is_known_by_all;
use crate::error::{Code, Error, Result};
use crate::frame::{self, Flaw, Frame};
use crate::limits::MAX_KEY_PACKAGE;

/// A key package of somebody else, checked: framing, version, signatures, credential, keys (RFC 9420 section 10.1). Not its lifetime:
/// that is for who adds somebody by it ([`refuses_to_add`](super::lifetime::refuses_to_add)). Fails with `KEY_PACKAGE_INVALID`, and
/// with `KEY_PACKAGE_MISMATCH` for another suite than this one.
pub(crate) fn validated(crypto: &impl OpenMlsCrypto, bytes: &[u8], suite: Ciphersuite) -> Result<KeyPackage> {
    if bytes.len() > MAX_KEY_PACKAGE {
        return Err(unusable(&format!("it has more than {MAX_KEY_PACKAGE} bytes")));
    }
    refuse_other_version_or_suite(bytes, suite)?;
    match frame::read(bytes) {
        Ok(Frame::KeyPackage { .. }) => {}
        Ok(_) => return Err(unusable("it is another kind of MLSMessage")),
        Err(flaw @ Flaw::TooLarge) => return Err(unusable("it is larger than any that is accepted").caused_by(flaw)),
        Err(flaw) => return Err(unusable("it is not an MLSMessage").caused_by(flaw)),
    }
    let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes)
        .map_err(|cause| unusable("its contents are not valid").caused_by(cause))?;
    let MlsMessageBodyIn::KeyPackage(package) = message.extract() else {
        return Err(unusable("it is another kind of MLSMessage"));
    };
    let package: KeyPackageIn = package;
    let package = package
        .validate(crypto, ProtocolVersion::Mls10)
        .map_err(|cause| unusable(fault(&cause)).caused_by(cause))?;
    let leaf = package.leaf_node();
    if leaf.credential().credential_type() != CredentialType::Basic {
        return Err(unusable("its credential is not a basic one"));
    }
    let capabilities = leaf.capabilities();
    if !capabilities.credentials().contains(&CredentialType::Basic) {
        return Err(unusable("its capabilities do not list the kind of its own credential"));
    }
    let lists = |kind| is_known_by_all(kind) || capabilities.extensions().contains(&kind);
    if !leaf.extensions().iter().map(Extension::extension_type).all(lists) {
        return Err(unusable("its leaf has an extension that its capabilities do not list"));
    }
    if !written_key_can_be_encrypted_to(crypto, suite, package.hpke_init_key()) {
        return Err(unusable("nothing can be encrypted to its init key"));
    }
    if !written_key_can_be_encrypted_to(crypto, suite, leaf.encryption_key()) {
        return Err(unusable("nothing can be encrypted to the key of its leaf"));
    }
    Ok(package)
}

/// What is said of a key package that nobody can be added by; `what` is the fault.
pub(crate) fn unusable(what: &str) -> Error {
    let message = format!("The key package cannot be used: {what}. Fetch another one of this client.");
    Error::new(Code::KeyPackageInvalid, message)
}

/// What is said of a key package that is good, but not here.
pub(crate) fn mismatch(what: &str) -> Error {
    let message = format!("The key package cannot be used here: {what}. Fetch the right one.");
    Error::new(Code::KeyPackageMismatch, message)
}

/// Looked at first, since a signature of another suite can be neither read nor verified. The numbers stand at the front: version and
/// wire format of the message, version and suite of the key package, two bytes each.
fn refuse_other_version_or_suite(bytes: &[u8], suite: Ciphersuite) -> Result<()> {
    const MLS_1_0: [u8; 2] = [0, 1];
    const KEY_PACKAGE: [u8; 2] = [0, 5];
    let [m0, m1, w0, w1, v0, v1, s0, s1, ..] = *bytes else {
        return Ok(());
    };
    if [w0, w1] != KEY_PACKAGE {
        return Ok(());
    }
    if [m0, m1] != MLS_1_0 || [v0, v1] != MLS_1_0 {
        return Err(unusable("it is of another version of MLS than 1.0"));
    }
    if u16::from_be_bytes([s0, s1]) != u16::from(suite) {
        return Err(mismatch("it is for another cipher suite than the conversation's"));
    }
    Ok(())
}

fn fault(cause: &KeyPackageVerifyError) -> &'static str {
    match cause {
        KeyPackageVerifyError::InvalidSignature => "its signature is wrong",
        KeyPackageVerifyError::InvalidLeafNodeSignature => "the signature of its leaf is wrong",
        KeyPackageVerifyError::InvalidLeafNodeSourceType => "its leaf was not made for a key package",
        KeyPackageVerifyError::InitKeyEqualsEncryptionKey => "its init key is the key of its leaf",
        KeyPackageVerifyError::InvalidProtocolVersion => "it is of another version of MLS than 1.0",
        KeyPackageVerifyError::UnsupportedExtension => "it has an extension that its capabilities do not list",
        KeyPackageVerifyError::ExtensionTypeNotValidInKeyPackage(_) => {
            "it has an extension that does not belong into a key package"
        }
        KeyPackageVerifyError::MissingLifetime => "its leaf has no lifetime",
        KeyPackageVerifyError::LifetimeError(_) => "its lifetime is not now",
        KeyPackageVerifyError::LibraryError(_) => "it cannot be checked",
    }
}
