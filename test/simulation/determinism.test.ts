import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

import { simulate } from '../../src/simulation/simulate.ts';

const options = { minutes: 1, tasks: 20 };

describe('a seed is one run', () => {
  it('gives the same trace, event for event, when it is run again', async () => {
    for (const seed of [1, 2, 3]) {
      const first = await simulate({ ...options, seed });
      const second = await simulate({ ...options, seed });
      expect(second.traceHash).toBe(first.traceHash);
      expect(second.events).toBe(first.events);
      expect(second.counters).toEqual(first.counters);
    }
  });

  it('gives the same trace in another process', async () => {
    const here = await simulate({ ...options, seed: 4 });
    const child = fork(join(import.meta.dirname, 'trace-process.ts'), ['4', '1', '20'], {
      execArgv: ['--import', 'tsx'],
    });
    const [there] = (await once(child, 'message')) as [{ readonly traceHash: string; readonly events: number }];
    expect(there).toEqual({ traceHash: here.traceHash, events: here.events });
  });

  it('gives another trace for another seed', async () => {
    const one = await simulate({ ...options, seed: 5 });
    const other = await simulate({ ...options, seed: 6 });
    expect(other.traceHash).not.toBe(one.traceHash);
  });
});
