//! Credentials.

use conclave_core::credential::{Credential, CredentialRef};
use conclave_core::error::{Code, Error, Result};
use conclave_core::id::{display_id, from_hex, hex};
use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;

use crate::bytes::Uint8Array;
use crate::database::NativeDatabase;
use crate::member::converted;

/// A credential of this client.
#[napi(object, object_from_js = false)]
pub struct NativeCredential {
    #[napi(js_name = "ref")]
    pub reference: String,
    pub client_id: String,
    pub cipher_suite: u16,
}

impl From<CredentialRef> for NativeCredential {
    fn from(credential: CredentialRef) -> Self {
        NativeCredential {
            reference: hex(&credential.reference),
            client_id: display_id(credential.credential.client_id()),
            cipher_suite: credential.cipher_suite.into(),
        }
    }
}

/// The bytes of a credential's reference.
pub(crate) fn reference(text: &str) -> Result<Vec<u8>> {
    from_hex(text).ok_or_else(|| {
        let message = "The reference of a credential is not what addCredential returned. Pass that object on as it is.";
        Error::new(Code::CredentialNotFound, message)
    })
}

#[napi]
impl NativeDatabase {
    /// Makes a signature key for a basic credential and keeps both.
    #[napi(ts_return_type = "Promise<NativeCredential>", catch_unwind)]
    pub fn add_credential<'env>(
        &self,
        env: &'env Env,
        cipher_suite: u16,
        client_id: Uint8Array,
    ) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.add_credential(cipher_suite, Credential::Basic(client_id.0)),
            NativeCredential::from,
        )
    }

    /// All credentials.
    #[napi(ts_return_type = "Promise<Array<NativeCredential>>", catch_unwind)]
    pub fn credentials<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.step(env, |session| session.credentials(), converted::<_, NativeCredential>)
    }

    /// Deletes a credential with its private key and its key packages.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn remove_credential<'env>(&self, env: &'env Env, credential_ref: String) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| session.remove_credential(&reference(&credential_ref)?),
            |()| (),
        )
    }
}
