import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedDeliveryService, type LoopbackServer, serveOnLoopback } from "conclave-mls/delivery-service";
import { Ambush } from "./ambush.js";
import { PersonProcess } from "./person-process.js";

/** Everybody who takes part: people in processes of their own, and the delivery service between them in this one. */
export class Cast {
  /** Where the keystores and the delivery service's database are. */
  readonly folder: string;
  readonly service: EmbeddedDeliveryService;
  readonly ambush: Ambush;
  readonly alice: PersonProcess;
  readonly bob: PersonProcess;
  readonly carol: PersonProcess;
  readonly dave: PersonProcess;
  readonly eve: PersonProcess;
  readonly everybody: readonly PersonProcess[];
  readonly #server: LoopbackServer;

  private constructor(folder: string, service: EmbeddedDeliveryService, ambush: Ambush, server: LoopbackServer) {
    this.folder = folder;
    this.service = service;
    this.ambush = ambush;
    this.#server = server;
    const person = (name: string): PersonProcess => new PersonProcess(name, folder, server.url);
    this.alice = person("alice");
    this.bob = person("bob");
    this.carol = person("carol");
    this.dave = person("dave");
    this.eve = person("eve");
    this.everybody = [this.alice, this.bob, this.carol, this.dave, this.eve];
  }

  /** Starts everything, in a temporary folder that only this user can read. The signal ends all processes at once. */
  static async gather(signal: AbortSignal): Promise<Cast> {
    const folder = await mkdtemp(join(tmpdir(), "conclave-demo-"));
    try {
      const service = await EmbeddedDeliveryService.open(join(folder, "delivery-service.db"));
      const ambush = new Ambush(service);
      const cast = new Cast(folder, service, ambush, await serveOnLoopback(ambush.service));
      const interrupt = (): void => cast.#end("The demo was interrupted.");
      signal.addEventListener("abort", interrupt);
      if (signal.aborted) interrupt();
      return cast;
    } catch (error) {
      await rm(folder, { recursive: true });
      throw error;
    }
  }

  /** Lets everybody close their things and go, and closes the delivery service. Answers how the processes ended. */
  async leave(): Promise<Record<string, readonly string[]>> {
    await Promise.all(this.everybody.map((person) => person.leave()));
    await this.#closeService();
    return Object.fromEntries(this.everybody.map(({ name, exits }) => [name, exits]));
  }

  /** Ends what has not ended by itself, and deletes the folder unless it is to be kept. */
  async clearAway({ keep }: { keep: boolean }): Promise<void> {
    this.#end("The demo is over.");
    await Promise.all(this.everybody.map((person) => person.ended));
    await this.#closeService();
    if (!keep) await rm(this.folder, { recursive: true });
  }

  #end(reason: string): void {
    for (const person of this.everybody) person.kill(new Error(reason));
  }

  async #closeService(): Promise<void> {
    await this.#server.close();
    await this.service.close();
  }
}
