import type { InterruptPhase, LedgerFacts } from '../../test/support/ledger.ts';
import { Child } from './child.ts';
import type { LedgerEvent, LedgerOrder, LedgerRecord } from './ledger-process.ts';

const startTimeoutMs = 20_000;

/** The ledger's process, as the scenario sees it. */
export class LedgerChild {
  readonly url: string;
  readonly #child: Child;
  readonly #heard: { onHeld: ((shard: number) => void) | null };

  private constructor(child: Child, url: string, heard: { onHeld: ((shard: number) => void) | null }) {
    this.#child = child;
    this.url = url;
    this.#heard = heard;
  }

  static async start(outputFile: string): Promise<LedgerChild> {
    const heard: { onHeld: ((shard: number) => void) | null } = { onHeld: null };
    let child: Child | undefined;
    const url = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the ledger did not start')), startTimeoutMs);
      child = Child.start({
        entry: 'ledger-process',
        settings: {},
        outputFile,
        onEvent: (event) => {
          const told = event as LedgerEvent;
          if (told.type === 'held') heard.onHeld?.(told.shard);
          else {
            clearTimeout(timer);
            resolve(told.url);
          }
        },
      });
    });
    return new LedgerChild(child as Child, url, heard);
  }

  /**
   * Holds an effect in its middle, runs `action` with the shard whose owner asked for it, and lets the effect go on. Resolves after
   * the action. @throws Error when no effect comes in time
   */
  async during(phase: InterruptPhase, action: (shard: number) => Promise<void>, timeoutMs: number): Promise<void> {
    const held = new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no effect came to be held')), timeoutMs);
      this.#heard.onHeld = (shard) => {
        clearTimeout(timer);
        resolve(shard);
      };
    });
    try {
      await this.#ask({ type: 'hold', count: 1, phase });
      await action(await held);
    } finally {
      await this.#ask({ type: 'goOn' });
    }
  }

  async facts(): Promise<LedgerFacts> {
    const { executions, duplicates, applied } = await this.#child.ask<LedgerRecord>({ type: 'facts' }, 120_000);
    return { executions: [...executions], duplicates, appliedCount: (key) => applied.get(key) ?? 0 };
  }

  stop(): Promise<void> {
    return this.#child.kill();
  }

  #ask(order: LedgerOrder): Promise<unknown> {
    return this.#child.ask(order);
  }
}
