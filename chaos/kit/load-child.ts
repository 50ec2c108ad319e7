import type { CallEvent } from '../../src/checking/history-events.ts';
import { Child } from './child.ts';
import type { LoadFigures } from './load-figures.ts';
import type { LoadOrder, LoadSettings } from './load-process.ts';

const startTimeoutMs = 60_000;
const answerSlackMs = 30_000;

/** The load's process, as the scenario sees it. */
export class LoadChild {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  /** Starts the load; it submits from when this resolves. An engine must be there. */
  static async start(settings: LoadSettings, outputFile: string): Promise<LoadChild> {
    let child: Child | undefined;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the load did not start')), startTimeoutMs);
      child = Child.start({
        entry: 'load-process',
        settings,
        outputFile,
        onEvent: () => {
          clearTimeout(timer);
          resolve();
        },
      });
      void child.exited.then(() => reject(new Error('the load ended while it started')));
    });
    return new LoadChild(child as Child);
  }

  /** What it has seen so far. */
  counts(): Promise<LoadFigures> {
    return this.#child.ask({ type: 'counts' } satisfies LoadOrder);
  }

  /** Every command that it sent. */
  calls(): Promise<readonly CallEvent[]> {
    return this.#child.ask({ type: 'calls' } satisfies LoadOrder, answerSlackMs);
  }

  /** Submits so many at once; resolves when they are on their way. */
  async burst(count: number): Promise<void> {
    await this.#child.ask({ type: 'burst', count } satisfies LoadOrder);
  }

  /** Submits no more, waits until all that was accepted has ended or the time is over, and gives what it has seen. */
  end(timeoutMs: number): Promise<LoadFigures> {
    return this.#child.ask({ type: 'end', timeoutMs } satisfies LoadOrder, timeoutMs + answerSlackMs);
  }

  stop(): Promise<void> {
    return this.#child.kill();
  }
}
