import type { EffectEvent } from '../../src/checking/history-events.ts';
import { Ledger, type Execution, type LedgerFacts } from './ledger.ts';

const results = { applied: 'applied', repeated: 'replayed', fenced: 'refused' } as const;

/** What a {@link Ledger} was asked for, as a history keeps it. */
export function ledgerEvents({ executions }: LedgerFacts): readonly EffectEvent[] {
  return executions.map(toEvent);
}

function toEvent({ key, taskId: task, stage, attempt, fence, mode, result, at }: Execution): EffectEvent {
  const { shard, epoch, sequence } = fence;
  return {
    type: 'effect',
    key,
    task,
    stage,
    attempt,
    fence: { shard, epoch, sequence },
    result: results[result],
    receipt: Ledger.outputOf(key).receipt,
    honorsKeys: mode === 'idempotent',
    at,
  };
}
