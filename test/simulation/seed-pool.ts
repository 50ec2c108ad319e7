import { fork, type ChildProcess } from 'node:child_process';

import type { SeedResult } from './seed-result.ts';

/** What a process that runs seeds tells: a seed's result, that a seed threw, or that it has run all that it was given. */
export type FromChild = SeedResult | { readonly seed: number; readonly crashed: string } | 'idle';

/** What a {@link SeedPool} runs, and whom it tells. */
export interface SeedPoolDeps {
  /** Processes at one time. */
  readonly jobs: number;
  /** The program and its arguments: it runs the seeds that it is sent, in their order, and sends what each came to. */
  readonly program: string;
  readonly argv: readonly string[];
  /** Options of Node. */
  readonly execArgv: readonly string[];
  /** The next seed; null when there is none. */
  readonly nextSeed: () => number | null;
  readonly onResult: (result: SeedResult) => void;
  /** A seed threw, took its process along, or did not end. */
  readonly onCrash: (seed: number, how: string) => void;
}

/** Seeds that a process is given at one time. */
const seedsPerOrder = 4;
/** Seeds after which a process is replaced: whatever it keeps of each, hours do not gather it. */
const seedsPerProcess = 10_000;
/** A process that has told nothing for so long is at a seed without an end. */
const stuckAfterMs = 600_000;

/** Runs seeds in processes beside each other. One that dies is told as a crash of the seed it was at, and replaced. */
export class SeedPool {
  readonly #deps: SeedPoolDeps;
  readonly #children = new Set<ChildProcess>();
  #isStopped = false;

  constructor(deps: SeedPoolDeps) {
    this.#deps = deps;
  }

  /** Resolves when no seed is left, or it was stopped. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: this.#deps.jobs }, () => this.#work()));
  }

  /** Ends now; seeds that are under way count for nothing. */
  stop(): void {
    this.#isStopped = true;
    for (const child of this.#children) if (child.connected) child.disconnect();
  }

  async #work(): Promise<void> {
    const pending: number[] = [];
    while (!this.#isStopped && this.#fill(pending)) await this.#serve(pending);
  }

  /** Whether there is a seed to run. */
  #fill(pending: number[]): boolean {
    while (pending.length < seedsPerOrder) {
      const seed = this.#deps.nextSeed();
      if (seed === null) break;
      pending.push(seed);
    }
    return pending.length > 0;
  }

  /** One process's life: it is given seeds until none is left, or it has had its share. */
  #serve(pending: number[]): Promise<void> {
    const { program, argv, execArgv, onResult, onCrash } = this.#deps;
    return new Promise((resolve, reject) => {
      const child = fork(program, argv, { execArgv: [...execArgv] });
      this.#children.add(child);
      let told = 0;
      let stuck: NodeJS.Timeout | undefined;
      const watch = (): void => {
        clearTimeout(stuck);
        stuck = setTimeout(() => child.kill('SIGKILL'), stuckAfterMs);
      };
      child.on('message', (message: FromChild) => {
        // What was on its way when the channel was closed.
        if (this.#isStopped) return;
        watch();
        if (message === 'idle') {
          if (told < seedsPerProcess && this.#fill(pending)) child.send(pending);
          else child.disconnect();
          return;
        }
        told += 1;
        pending.splice(pending.indexOf(message.seed), 1);
        if ('crashed' in message) onCrash(message.seed, message.crashed);
        else onResult(message);
      });
      child.on('error', reject);
      child.on('exit', (code, signal) => {
        clearTimeout(stuck);
        this.#children.delete(child);
        const lost = this.#isStopped ? undefined : pending.shift();
        if (lost !== undefined) onCrash(lost, `its process ended with ${code ?? signal}`);
        resolve();
      });
      watch();
      child.send(pending);
    });
  }
}
