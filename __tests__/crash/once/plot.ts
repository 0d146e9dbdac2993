import type { MlsTransportResponse } from "conclave-mls";
import type { DeliveryService } from "conclave-mls/delivery-service";
import { WITNESS } from "../kills/actions.js";
import { hash } from "../kills/run.js";
import { ALICE, ARCHIVE, ASIDE, LATER, TEAM } from "./alice.js";
import type { Bob } from "./bob.js";
import { Mailbox } from "./mailbox.js";

/** What the service does when one of her commits comes in for the first, second, third time. */
type Scene = (time: number, take: () => Promise<MlsTransportResponse>) => Promise<MlsTransportResponse>;

/**
 * The delivery service as she sees it, and what happens around her: all of it follows from what she asks for, so that each play
 * is the same up to where she dies. Her requests are answered one after the other, to the end, whether she lives to see it or not.
 */
export class Plot {
  /** What she talks to. */
  readonly service: DeliveryService;
  /** The messages of hers that have arrived. */
  readonly arrived = new Set<string>();
  readonly #bob: Bob;
  readonly #mailbox: Mailbox;
  /** What is to come, a scene for each commit of hers. */
  readonly #scenes: Scene[];
  readonly #commits = new Map<string, { readonly scene: Scene; times: number }>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(behind: DeliveryService, bob: Bob) {
    this.#bob = bob;
    this.#mailbox = new Mailbox(behind);
    this.#scenes = [this.#bobIsFaster, this.#toldToTryAgain, this.#answerIsLost, this.#wordsAreFaster];
    this.service = {
      publishKeyPackages: (id, keyPackages) => behind.publishKeyPackages(id, keyPackages),
      claimKeyPackage: (id, suite) => behind.claimKeyPackage(id, suite),
      countKeyPackages: (id, suite) => behind.countKeyPackages(id, suite),
      withdrawKeyPackages: (id) => behind.withdrawKeyPackages(id),
      sendCommit: (id, bundle, claim) =>
        this.#inOrder(() => this.#scene(hash(bundle.commit), () => behind.sendCommit(id, bundle, claim))),
      sendMessage: (id, message) =>
        this.#inOrder(async () => {
          const answer = await behind.sendMessage(id, message);
          this.arrived.add(hash(message));
          return answer;
        }),
      fetch: (id, conversationId, options) => this.#inOrder(() => behind.fetch(id, conversationId, options)),
      groupInfo: (id, conversationId) => behind.groupInfo(id, conversationId),
      pull: (_, options) =>
        this.#inOrder(async () => {
          await this.#mailbox.fill();
          return this.#mailbox.pull(options?.limit ?? 100);
        }),
      acknowledge: (_, cursor) => this.#inOrder(async () => this.#mailbox.acknowledge(cursor)),
      close: () => behind.close(),
      [Symbol.asyncDispose]: () => behind.close(),
    };
  }

  /** What has happened before she starts. */
  async begins(): Promise<void> {
    const bob = this.#bob;
    await this.#mailbox.fill();

    // Two messages and a commit of an epoch whose commit comes later than they.
    await bob.says(TEAM, "before the first commit");
    await bob.commits(TEAM);
    await bob.says(TEAM, "after the first commit");
    await bob.commits(TEAM);
    await bob.says(TEAM, "after the second commit");
    await bob.says(TEAM, "and once more");
    await this.#mailbox.fill([4, 2, 5, 3, 0, 1]);

    await bob.says(ASIDE, "between us");
    await bob.commits(ASIDE);
    await bob.says(ASIDE, "still between us");
    await bob.says(ASIDE, "and nobody else");
    await this.#mailbox.fill([0, 2, 1, 3]);

    for (const text of ["the first entry", "the second entry", "the third entry"]) await bob.says(ARCHIVE, text);
    await bob.commits(ARCHIVE);
    for (const text of ["the fourth entry", "the fifth entry"]) await bob.says(ARCHIVE, text);

    await bob.founds(LATER, [ALICE, WITNESS]);
    await bob.says(LATER, "before she has come");
    await bob.commits(LATER);
    await bob.says(LATER, "before she has come, and in the next epoch");
    await this.#mailbox.fill([3, 1, 2, 0]);
  }

  #scene(commitId: string, take: () => Promise<MlsTransportResponse>): Promise<MlsTransportResponse> {
    let known = this.#commits.get(commitId);
    if (known === undefined) {
      known = { scene: this.#scenes.shift() ?? this.#nothingHappens, times: 0 };
      this.#commits.set(commitId, known);
    }
    return known.scene(++known.times, take);
  }

  /** Another commit is in the log before hers, with messages before and after it. */
  readonly #bobIsFaster: Scene = async (time, take) => {
    const bob = this.#bob;
    if (time === 1) {
      await bob.reads();
      await bob.says(TEAM, "before the faster commit");
      await bob.commits(TEAM);
      await bob.says(TEAM, "after the faster commit");
      await bob.says(TEAM, "and one more");
    }
    return take();
  };

  /** She is to try again, and finds a message in the log, and no commit. */
  readonly #toldToTryAgain: Scene = async (time, take) => {
    if (time > 1) return this.#wordsAreFaster(time - 1, take);
    await this.#bob.reads();
    await this.#bob.says(TEAM, "while she is to try again");
    return { status: "retry", afterMs: 0 };
  };

  /** Hers is taken, and what is said after it reaches her before its echo and before the answer. */
  readonly #wordsAreFaster: Scene = async (time, take) => {
    if (time > 1) return take();
    const bob = this.#bob;
    await this.#mailbox.fill();
    const answer = await take();
    await bob.reads();
    await bob.says(TEAM, "before her own commit came back");
    await bob.says(TEAM, "which takes its time");
    await this.#mailbox.fill([1, 2]);
    return answer;
  };

  /** Hers is taken and the answer gets lost; asked again, the service does not know, and she finds it in the log. */
  readonly #answerIsLost: Scene = async (time, take) => {
    if (time === 2) return { status: "retry", afterMs: 0 };
    const answer = await take();
    if (time > 1) return answer;
    await this.#bob.reads();
    await this.#bob.says(TEAM, "while nobody answers");
    throw new Error("The answer got lost.");
  };

  readonly #nothingHappens: Scene = (_, take) => take();

  #inOrder<R>(work: () => Promise<R>): Promise<R> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }
}
