import { describe, expect, it } from 'vitest';
import { LoadCounts } from '../../../chaos/kit/load-figures.ts';
import { judge, type Facts } from '../../../chaos/kit/verdict.ts';
import type { CallEvent } from '../../../src/checking/history-events.ts';
import type { Execution, LedgerFacts } from '../../support/ledger.ts';

const untouched: LedgerFacts = { executions: [], duplicates: [], appliedCount: () => 0 };
const execution: Execution = {
  key: 'chaos:t-9:publish',
  taskId: 't-9',
  stage: 'publish',
  attempt: 1,
  fence: { shard: 0 as never, epoch: 1 as never, sequence: 2 as never },
  mode: 'idempotent',
  result: 'applied',
  at: 0,
};
const submitted: CallEvent = {
  type: 'call',
  client: 'load',
  call: 'load-0',
  kind: 'submit',
  task: 't-1',
  invokedAt: 0,
  answeredAt: 5,
  outcome: { kind: 'accepted' },
};

function facts(change: Partial<Facts> = {}): Facts {
  const counts = new LoadCounts();
  counts.accepted('t-1', 0, 5);
  const load = counts.figures();
  return {
    namespace: 'chaos',
    shardCount: 1,
    load,
    calls: [submitted],
    entries: [],
    ledger: untouched,
    faults: [],
    refusedAppends: 0,
    ...change,
  };
}

describe('a verdict', () => {
  it('R-SUM-1: counts an accepted task that is not in the journal as lost, and is not ok', () => {
    const verdict = judge(facts());
    expect(verdict).toMatchObject({ tasks: 1, completed: 0, lost: 1, ok: false });
    expect(verdict.violations).toEqual([
      'I1: task t-1 was accepted and is not in the journal (load-0 at 0)',
      'task t-1 was accepted and is lost: not in the journal',
    ]);
  });

  it('R-IDEM-1: counts an effect that changed the world twice, and is not ok', () => {
    const ledger: LedgerFacts = {
      executions: [execution, { ...execution, attempt: 2 }],
      duplicates: ['chaos:t-9:publish'],
      appliedCount: () => 2,
    };
    const verdict = judge(facts({ ledger }));
    expect(verdict.duplicateEffects).toBe(1);
    expect(verdict.violations).toContainEqual(
      expect.stringMatching(/^I13: chaos:t-9:publish was applied by attempt 1 and again by 2/),
    );
    expect(verdict.ok).toBe(false);
  });

  it('is not ok when a call failed later than its deadline, nor when nothing was accepted at all', () => {
    const counts = new LoadCounts();
    counts.failedCall('UNAVAILABLE', 500, 8_000);
    counts.failedCall('DEADLINE_EXCEEDED', 9_500, 8_000);
    const verdict = judge(facts({ load: counts.figures(), calls: [] }));
    expect(verdict.callerErrors).toEqual({ UNAVAILABLE: 1, DEADLINE_EXCEEDED: 1 });
    expect(verdict.violations).toEqual(['1 calls failed later than their deadline']);
    const nothing = judge(facts({ load: new LoadCounts().figures(), calls: [] }));
    expect(nothing).toMatchObject({ tasks: 0, violations: [], ok: false });
  });
});
