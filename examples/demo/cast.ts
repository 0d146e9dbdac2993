import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedDeliveryService, type LoopbackServer, serveOnLoopback } from "conclave-mls/delivery-service";
import { PersonProcess } from "./person-process.js";

/** Everybody who takes part: people in processes of their own, and the delivery service between them in this one. */
export class Cast {
  /** Where the keystores and the delivery service's database are. */
  readonly folder: string;
  readonly service: EmbeddedDeliveryService;
  readonly alice: PersonProcess;
  readonly bob: PersonProcess;
  readonly carol: PersonProcess;
  readonly everybody: readonly PersonProcess[];
  readonly #server: LoopbackServer;

  private constructor(folder: string, service: EmbeddedDeliveryService, server: LoopbackServer) {
    this.folder = folder;
    this.service = service;
    this.#server = server;
    this.alice = new PersonProcess("alice", folder, server.url);
    this.bob = new PersonProcess("bob", folder, server.url);
    this.carol = new PersonProcess("carol", folder, server.url);
    this.everybody = [this.alice, this.bob, this.carol];
  }

  /** Starts everything, in a temporary folder that only this user can read. The signal ends all processes at once. */
  static async gather(signal: AbortSignal): Promise<Cast> {
    const folder = await mkdtemp(join(tmpdir(), "conclave-demo-"));
    try {
      const service = await EmbeddedDeliveryService.open(join(folder, "delivery-service.db"));
      const cast = new Cast(folder, service, await serveOnLoopback(service));
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
  async leave(): Promise<Record<string, string>> {
    const exits = await Promise.all(this.everybody.map(async (person) => [person.name, await person.leave()] as const));
    await this.#closeService();
    return Object.fromEntries(exits);
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
