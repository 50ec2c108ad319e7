import type { CallEvent } from '../../src/checking/history-events.ts';
import { HistoryRecorder } from '../../src/checking/history-recorder.ts';
import type { History } from '../../src/checking/history.ts';
import type { JournalEntry } from '../../src/ports/journal.ts';
import { ledgerEvents } from '../../test/support/ledger-history.ts';
import type { LedgerFacts } from '../../test/support/ledger.ts';
import { chaosPipeline } from './chaos-pipeline.ts';

/** A call that is answered later than that after its deadline has failed: its process may be waiting for a processor. */
const deadlineSlackMs = 1_000;

/** A run as the invariants judge it: the journal that was read back, all that was done to the ledger, every command of the callers. */
export function runHistory(facts: {
  readonly namespace: string;
  readonly shardCount: number;
  readonly entries: readonly JournalEntry[];
  readonly ledger: LedgerFacts;
  readonly calls: readonly CallEvent[];
  readonly isHealed: boolean;
}): History {
  const { namespace, shardCount, entries, ledger, calls, isHealed } = facts;
  const recorder = new HistoryRecorder({
    namespace,
    shardCount,
    parts: ['calls', 'effects'],
    bounds: {
      deadlineSlackMs,
      effectStages: chaosPipeline.stages.map(({ name }) => `${chaosPipeline.name}/${name}`),
    },
  });
  for (const event of [...calls, ...ledgerEvents(ledger)]) recorder.record(event);
  const endedAt = calls.reduce((last, { answeredAt, invokedAt }) => Math.max(last, answeredAt ?? invokedAt), 0);
  return recorder.finish({ entries, endedAt, isHealed });
}
