import { Ledger, type Execution, type InterruptPhase } from '../../test/support/ledger.ts';
import { serveOrders, tellParent } from './orders.ts';

// The world outside of the engine as a process of its own. It sends its address as its first event.

/** What the ledger's process is asked. */
export type LedgerOrder =
  | { readonly type: 'facts' }
  /** Holds the `count`-th effect from now at that phase, tells it as an event, and lets it go on with `goOn`. */
  | { readonly type: 'hold'; readonly count: number; readonly phase: InterruptPhase }
  | { readonly type: 'goOn' };

/** What the ledger's process tells unasked. */
export type LedgerEvent =
  { readonly type: 'serving'; readonly url: string } | { readonly type: 'held'; readonly shard: number };

/** All that was done to the world. */
export interface LedgerRecord {
  readonly executions: readonly Execution[];
  readonly duplicates: readonly string[];
  /** Keys with how often each was applied. */
  readonly applied: ReadonlyMap<string, number>;
}

const ledger = await Ledger.start();
let goOn: (() => void) | null = null;

serveOrders((order: LedgerOrder) => {
  switch (order.type) {
    case 'facts':
      return facts();
    case 'hold':
      void ledger.interrupt(order.count, order.phase, ({ fence }) => {
        tellParent({ type: 'held', shard: fence.shard } satisfies LedgerEvent);
        return new Promise((resolve) => (goOn = resolve));
      });
      return null;
    case 'goOn':
      goOn?.();
      goOn = null;
      return null;
    default:
      return order satisfies never;
  }
});
tellParent({ type: 'serving', url: ledger.url } satisfies LedgerEvent);

function facts(): LedgerRecord {
  const applied = new Map<string, number>();
  for (const { key } of ledger.executions) applied.set(key, ledger.appliedCount(key));
  return { executions: ledger.executions, duplicates: ledger.duplicates, applied };
}
