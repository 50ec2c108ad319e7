import type { ClusterView } from './cluster-view.ts';
import { machineMs } from './monotonic.ts';
import { pause } from './wait.ts';

const sampleMs = 100;

/** How long each shard was without anybody who answers for it, sampled from outside while it runs. */
export class ShardGaps {
  readonly #view: ClusterView;
  readonly #since = new Map<number, number>();
  readonly #gaps: { readonly shard: number; readonly gapMs: number }[] = [];
  #samples = 0;
  #loop: Promise<void> | null = null;
  #isStopped = false;

  constructor(view: ClusterView) {
    this.#view = view;
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Ends the sampling; a gap that is still open counts up to now. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#loop;
    for (const shard of this.#since.keys()) this.#close(shard);
  }

  get samples(): number {
    return this.#samples;
  }

  /** Every gap that was seen, in the order of their ends. */
  get gaps(): readonly { readonly shard: number; readonly gapMs: number }[] {
    return this.#gaps;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const startedMs = machineMs();
      const unserved = await this.#view.unserved();
      if (this.#view.isConnected) this.#note(new Set(unserved), startedMs);
      await pause(Math.max(1, sampleMs - (machineMs() - startedMs)));
    }
  }

  #note(unserved: ReadonlySet<number>, atMs: number): void {
    this.#samples += 1;
    for (const shard of this.#since.keys()) if (!unserved.has(shard)) this.#close(shard);
    for (const shard of unserved) if (!this.#since.has(shard)) this.#since.set(shard, atMs);
  }

  #close(shard: number): void {
    const since = this.#since.get(shard);
    this.#since.delete(shard);
    if (since !== undefined) this.#gaps.push({ shard, gapMs: machineMs() - since });
  }
}
