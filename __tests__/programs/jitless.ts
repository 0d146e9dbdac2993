/** Opens a session where code may not be generated from strings, as in some Electron processes. */
import { Database, MlsError, Session } from "conclave-mls";

const session = await Session.open(await Database.inMemory(), { clientId: "alice", attempts: 3 });
const refused = await session.settle({ signals: 1 } as never).catch((error: unknown) => error);
console.log(MlsError.is(refused, "INVALID_ARGUMENT"), session.clientId);
await session.close();
