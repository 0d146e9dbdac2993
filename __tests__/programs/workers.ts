/** Loads the addon in many worker threads, 20 that finish their work and 50 that are terminated in the middle of it. */
import { once } from "node:events";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { Credential, Database, type MlsTransport, Session } from "conclave-mls";

const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";

async function person(clientId: string, transport: MlsTransport) {
  const session = await Session.open(await Database.inMemory(), { clientId, transport });
  const credential = await session.addCredential(Credential.basic(clientId, { cipherSuite }));
  return { session, credential };
}

/** Two people in this thread, who write to each other. */
async function talk(messages: number): Promise<string[]> {
  let welcome: Uint8Array | undefined;
  const transport: MlsTransport = {
    async sendCommitBundle(bundle) {
      welcome = bundle.welcome;
      return { status: "success" };
    },
  };
  const [alice, bob] = await Promise.all([person("alice", transport), person("bob", transport)]);
  const [keyPackage] = await bob.session.generateKeyPackages(bob.credential, { count: 1 });
  const members = [keyPackage!.bytes];
  const team = await alice.session.createConversation("team", { credential: alice.credential, members });
  await bob.session.joinByWelcome(welcome!);
  const heard: string[] = [];
  for (let count = 0; count < messages; count++) {
    const sent = await team.encrypt(Buffer.from(String(count)));
    for (const one of await bob.session.receive(sent)) {
      if (one.type === "message") heard.push(Buffer.from(one.plaintext).toString());
    }
  }
  await Promise.all([alice.session.close(), bob.session.close()]);
  return heard;
}

async function finish(): Promise<void> {
  const worker = new Worker(new URL(import.meta.url));
  const said = once(worker, "message");
  worker.postMessage("talk");
  const [heard] = (await said) as [string[]];
  if (heard.join() !== Array.from({ length: 20 }, (_, count) => count).join()) throw new Error("Not all was heard.");
  worker.postMessage("leave");
  const [code] = (await once(worker, "exit")) as [number];
  if (code !== 0) throw new Error(`A worker ended with ${code}.`);
}

/** Terminated at another moment each: while it loads, opens, creates, encrypts or does nothing. */
async function terminate(place: number): Promise<void> {
  const worker = new Worker(new URL(import.meta.url));
  if (place % 5 > 0) {
    worker.postMessage("talk for ever");
    await once(worker, "message");
    for (let turns = 0; turns < place; turns++) await new Promise((resolve) => setImmediate(resolve));
  }
  await worker.terminate();
}

if (isMainThread) {
  await Promise.all(Array.from({ length: 20 }, finish));
  for (let place = 0; place < 50; place += 5) {
    await Promise.all([0, 1, 2, 3, 4].map((more) => terminate(place + more)));
  }
  console.log(`and the main thread heard ${(await talk(3)).join()}`);
} else {
  parentPort!.on("message", (what: string) => {
    if (what === "leave") parentPort!.close();
    else if (what === "talk") void talk(20).then((heard) => parentPort!.postMessage(heard));
    else {
      parentPort!.postMessage("begun");
      void Promise.all([talk(1e9), talk(1e9)]);
    }
  });
}
