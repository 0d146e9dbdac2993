import type { CipherSuite } from "./cipher-suite.js";
import { type Id, type IdLike, nameOf } from "./id.js";
import { credentialOptions, parse } from "./options.js";

/**
 * What a client presents itself with (RFC 9420 section 5.3). Making one does nothing yet: `addCredential` makes its signature
 * key pair in the keystore.
 */
export class Credential {
  /** The client id. */
  readonly clientId: Id;
  /** The suite of the signature key, and of the conversations that the credential is good for. */
  readonly cipherSuite: CipherSuite;

  private constructor(clientId: Id, cipherSuite: CipherSuite) {
    this.clientId = clientId;
    this.cipherSuite = cipherSuite;
  }

  /**
   * A basic credential: the client id and nothing that proves it. Who may bear a name is for the delivery service and the
   * application to decide. Throws `INVALID_ARGUMENT` for a client id or a cipher suite that is none.
   */
  static basic(clientId: IdLike, options: { cipherSuite: CipherSuite }): Credential {
    return new Credential(nameOf(clientId, "clientId").id, parse(credentialOptions, options, "options").cipherSuite);
  }
}
