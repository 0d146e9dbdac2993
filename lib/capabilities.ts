/** A type of credential (RFC 9420 section 17.5). */
export type CredentialType = "basic" | "x509" | number;

/** What a client can do, or is required to do: types by their numbers (RFC 9420 section 17). */
export interface Capabilities {
  /** Extension types. */
  readonly extensions?: readonly number[];
  /** Proposal types. */
  readonly proposals?: readonly number[];
  /** Credential types. */
  readonly credentials?: readonly CredentialType[];
}

/** The type of credential with this number. */
export function credentialTypeOf(number: number): CredentialType {
  const names: Partial<Record<number, CredentialType>> = { 1: "basic", 2: "x509" };
  return names[number] ?? number;
}
