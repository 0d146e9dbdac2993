import {
  type CommitBundle,
  Credential,
  type CredentialRef,
  Database,
  DatabaseKey,
  type MlsTransport,
  Session,
} from "conclave-mls";

const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";

/** Somebody with a keystore and a session. The server of this world accepts every commit at once. */
export class Client {
  readonly #name: string;
  readonly #path: string | undefined;
  readonly #key = DatabaseKey.generate();
  #session: Session | undefined;
  #credential: CredentialRef | undefined;
  #sent: CommitBundle | undefined;

  private constructor(name: string, path: string | undefined) {
    this.#name = name;
    this.#path = path;
  }

  /** Comes with a new keystore: in this file, or in memory. */
  static async comes(name: string, path?: string): Promise<Client> {
    const client = new Client(name, path);
    await client.opens();
    client.#credential = await client.session.addCredential(Credential.basic(name, { cipherSuite }));
    return client;
  }

  /** Opens the keystore, which must be closed, and a session on it. */
  async opens(): Promise<void> {
    const database = await (this.#path === undefined ? Database.inMemory() : Database.open(this.#path, this.#key));
    this.#session = await Session.open(database, { clientId: this.#name, transport: this.#transport });
  }

  readonly #transport: MlsTransport = {
    sendCommitBundle: async (bundle) => {
      this.#sent = bundle;
      return { status: "success" };
    },
  };

  get session(): Session {
    return present(this.#session);
  }

  get credential(): CredentialRef {
    return present(this.#credential);
  }

  /** The last commit that was sent, and its Welcome, which is empty when nobody was added. */
  get sent(): { commit: Uint8Array; welcome: Uint8Array } {
    const { commit, welcome = new Uint8Array() } = present(this.#sent);
    return { commit, welcome };
  }

  /** A fresh key package. */
  async keyPackage(): Promise<Uint8Array> {
    const [keyPackage] = await this.session.generateKeyPackages(this.credential, { count: 1 });
    return present(keyPackage).bytes;
  }
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("The bench has used something before it was there.");
  return value;
}
