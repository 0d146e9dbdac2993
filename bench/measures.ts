/** One thing that is measured. */
export interface Measure {
  /** As the results have it. */
  readonly name: MeasureName;
  /** As the table has it. */
  readonly title: string;
  /** What OpenMLS alone does for comparison, by the name that its program knows; where there is nothing, it has no such thing. */
  readonly bare?: BareOperation;
  /** How many calls a sample is the average of. */
  readonly calls?: number;
}

export type MeasureName = (typeof measures)[number]["name"];

/** The operations of native/bare-openmls. */
export type BareOperation = "keyPackages" | "add" | "join" | "update" | "process" | "encrypt" | "receive";

/** How many messages go together, in flight or in a transaction; and how many key packages are made at once. */
export const MANY = 100;

/** Everything that is measured, in the order in which a round does it and the table shows it. */
export const measures = [
  { name: "open", title: "open the session of a member" },
  { name: "keyPackages", title: `${MANY} key packages`, bare: "keyPackages" },
  { name: "add", title: "add all others in one commit", bare: "add" },
  { name: "join", title: "join by Welcome", bare: "join" },
  { name: "update", title: "update keys", bare: "update" },
  { name: "process", title: "receive that commit", bare: "process" },
  { name: "encryptAlone", title: "encrypt: own call", bare: "encrypt" },
  { name: "encryptInFlight", title: `encrypt: of ${MANY} in flight`, bare: "encrypt", calls: MANY },
  { name: "encryptInTransaction", title: `encrypt: of ${MANY} in a transaction`, bare: "encrypt", calls: MANY },
  { name: "receiveAlone", title: "receive: own call", bare: "receive" },
  { name: "receiveInFlight", title: `receive: of ${MANY} in flight`, bare: "receive", calls: MANY },
  { name: "receiveInTransaction", title: `receive: of ${MANY} in a transaction`, bare: "receive", calls: MANY },
  { name: "receiveBatch", title: `receive: of a batch of ${MANY}`, bare: "receive", calls: MANY },
] as const satisfies readonly { name: string; title: string; bare?: BareOperation; calls?: number }[];
