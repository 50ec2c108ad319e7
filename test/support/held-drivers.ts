import type { StageContext } from '../../src/index.ts';

interface Held {
  readonly label: string;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Drivers that end when the test says so. A driver that is aborted fails, unless it is told to ignore its signal. */
export class HeldDrivers {
  /** Every start, as `<task>/<stage>/<attempt>`. */
  readonly started: string[] = [];
  readonly #held = new Map<string, Held>();
  ignoresAbort = false;

  /** Drivers that run now. */
  get running(): readonly string[] {
    return [...this.#held.keys()];
  }

  readonly run = (ctx: StageContext): Promise<unknown> => {
    const label = `${ctx.taskId}/${ctx.stage}/${ctx.attempt}`;
    this.started.push(label);
    return new Promise((resolve, reject) => {
      this.#held.set(label, { label, resolve, reject });
      ctx.signal.addEventListener('abort', () => {
        if (!this.ignoresAbort) this.fail(label, new Error('aborted'));
      });
    });
  };

  /** Lets a driver return; every one that runs when no label is given. */
  finish(label?: string): void {
    for (const held of this.#take(label)) held.resolve(`done ${held.label}`);
  }

  /** Lets a driver throw. */
  fail(label: string, error: Error): void {
    for (const held of this.#take(label)) held.reject(error);
  }

  #take(label: string | undefined): readonly Held[] {
    const taken = [...this.#held.values()].filter((held) => label === undefined || held.label === label);
    for (const held of taken) this.#held.delete(held.label);
    return taken;
  }
}
