import { describe, expect, it } from 'vitest';
import { LoadCounts } from '../../../chaos/kit/load-figures.ts';
import { judge, type Facts } from '../../../chaos/kit/verdict.ts';
import type { LedgerFacts } from '../../support/effects-checker.ts';

const untouched: LedgerFacts = { executions: [], duplicates: [], appliedCount: () => 0 };

function facts(change: Partial<Facts> = {}): Facts {
  const counts = new LoadCounts();
  counts.accepted('t-1', 0, 5);
  const load = counts.figures();
  return { namespace: 'chaos', load, entries: [], ledger: untouched, faults: [], refusedAppends: 0, ...change };
}

describe('a verdict', () => {
  it('R-SUM-1: counts an accepted task that is not in the journal as lost, and is not ok', () => {
    const verdict = judge(facts());
    expect(verdict).toMatchObject({ tasks: 1, completed: 0, lost: 1, ok: false });
    expect(verdict.violations).toEqual(['task t-1 was accepted and is lost: not in the journal']);
  });

  it('R-IDEM-1: counts an effect that changed the world twice, and is not ok', () => {
    const ledger: LedgerFacts = { ...untouched, duplicates: ['chaos:t-9:publish'], appliedCount: () => 2 };
    const verdict = judge(facts({ ledger }));
    expect(verdict.duplicateEffects).toBe(1);
    expect(verdict.violations).toContain('chaos:t-9:publish was applied 2 times');
    expect(verdict.ok).toBe(false);
  });

  it('is not ok when a call failed later than its deadline, nor when nothing was accepted at all', () => {
    const counts = new LoadCounts();
    counts.failedCall('UNAVAILABLE', 500, 8_000);
    counts.failedCall('DEADLINE_EXCEEDED', 9_500, 8_000);
    const verdict = judge(facts({ load: counts.figures() }));
    expect(verdict.callerErrors).toEqual({ UNAVAILABLE: 1, DEADLINE_EXCEEDED: 1 });
    expect(verdict.violations).toEqual(['1 calls failed later than their deadline']);
    const nothing = judge(facts({ load: new LoadCounts().figures() }));
    expect(nothing).toMatchObject({ tasks: 0, violations: [], ok: false });
  });
});
