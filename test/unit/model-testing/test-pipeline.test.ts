import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { createCardPipeline } from '../../../examples/cabinet/card-pipeline.ts';
import type { LookupAnswer, StageContext } from '../../../src/index.ts';
import { definePipeline } from '../../../src/index.ts';
import type { Clock } from '../../../src/ports/clock.ts';
import { planPipelineTests } from '../../../src/model-testing/test-pipeline.ts';
import {
  PipelineTestError,
  TestEngine,
  testPipeline,
  type PipelineTestCase,
  type PipelineTestDriversChoice,
  type PipelineTestOptions,
} from '../../../src/testing.ts';

const retry = { maxAttempts: 3, initialDelayMs: 1_000, jitter: 0 };
const timeoutMs = 60_000;

/** One stage that can be asked, one that may happen once only. */
const order = definePipeline({
  name: 'order',
  version: 1,
  input: z.object({ item: z.string() }),
  stages: (pipeline) =>
    pipeline
      .stage('reserve', {
        output: z.object({ place: z.string() }),
        driver: {
          execute: () => ({ place: 'shelf' }),
          lookup: (): Promise<LookupAnswer<{ place: string }>> => Promise.resolve({ kind: 'unknown' }),
        },
        retry,
        timeoutMs,
      })
      .stage('charge', {
        output: z.object({ receipt: z.string() }),
        driver: () => ({ receipt: 'r-1' }),
        retry,
        timeoutMs,
        effect: 'atMostOnce',
      }),
});

async function failuresOf(cases: readonly PipelineTestCase[]): Promise<readonly PipelineTestError[]> {
  const failures: PipelineTestError[] = [];
  for (const { run } of cases) {
    await run().catch((error: unknown) => {
      if (!(error instanceof PipelineTestError)) throw error;
      failures.push(error);
    });
  }
  return failures;
}

/** What the cases with such drivers say is wrong; the same problem once. */
async function problemsWith(
  drivers: PipelineTestDriversChoice,
  options: PipelineTestOptions = {},
): Promise<readonly string[]> {
  const failures = await failuresOf(testPipeline(order, drivers, { detours: 1, ...options }));
  return [...new Set(failures.flatMap(({ problems }) => problems))];
}

describe('testPipeline', () => {
  it('R-STAGE-1: makes a case of each path and fault, each with a name of its own', () => {
    const cases = testPipeline(order);
    const names = cases.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('order version 1 › reserve → charge › no fault');
    expect(names).toContain('order version 1 › reserve: retryable, pause while backingOff › crash after commit');
    expect(names).toContain(
      'order version 1 › charge: owner lost before the effect, redrive while unknown › zombie outcome',
    );
    expect(names).toContain('order version 1 › reserve: completed while its shard is handed over › late timer');
    expect(cases.length % 6).toBe(0);
  });

  it('cuts the paths off at maximumPaths, and a case says so', () => {
    const names = testPipeline(order, 'simulated', { maximumPaths: 5 }).map(({ name }) => name);
    expect(names).toHaveLength(5 * 6 + 1);
    expect(names.at(-1)).toMatch(/^order version 1 › 5 of \d+ paths are walked: maximumPaths cuts the others off$/);
  });

  it('INVALID_ARGUMENT with whenCut error, with the number of paths', () => {
    expect(() => testPipeline(order, 'simulated', { maximumPaths: 5, whenCut: 'error' })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', field: 'maximumPaths', limit: '5' }) as Error,
    );
  });

  it.each([{ maximumPaths: 0 }, { maximumPaths: 1.5 }, { detours: -1 }, { detours: 4 }])(
    'INVALID_ARGUMENT for %j',
    (options) => {
      expect(() => testPipeline(order, 'simulated', options)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT', field: Object.keys(options)[0] }) as Error,
      );
    },
  );

  it('INVALID_ARGUMENT for an output that no sample can be made of, with the option that gives it', () => {
    const odd = definePipeline({
      name: 'odd',
      version: 1,
      input: z.object({}),
      stages: (pipeline) =>
        pipeline.stage('parse', {
          output: z.string().refine((text) => text.startsWith('very special')),
          driver: () => 'very special',
          retry,
          timeoutMs,
        }),
    });
    expect(() => testPipeline(odd)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', field: 'outputs.parse' }) as Error,
    );
    expect(testPipeline(odd, 'simulated', { outputs: { parse: 'very special one' } }).length).toBeGreaterThan(50);
  });

  it('walks both ways of a skip, by samples with everything and with as little as may be', () => {
    const names = testPipeline(createCardPipeline(), 'simulated', { detours: 0 }).map(({ name }) => name);
    expect(names).toContain('card version 1 › parse → photos → publish → export → cleanup › no fault');
    expect(names).toContain('card version 1 › parse → publish → export → cleanup › no fault');
  });
});

describe('drivers that keep their promises', () => {
  it('R-DRV-1 R-IDEM-1: pass every path under every fault', { timeout: 240_000 }, async () => {
    expect(await failuresOf(testPipeline(order, goodDrivers))).toEqual([]);
  });
});

describe('a driver under test', () => {
  it('R-DRV-1: that has its effect once a call is found by the outside', async () => {
    const applied = new Map<string, number>();
    const reserve = (ctx: StageContext): unknown => {
      applied.set(ctx.idempotencyKey, (applied.get(ctx.idempotencyKey) ?? 0) + 1);
      return { place: 'shelf' };
    };
    const timesApplied = (key: string): number => applied.get(key) ?? 0;
    const ports = (): Record<string, unknown> => {
      applied.clear();
      return {};
    };
    const problems = await problemsWith({ reserve }, { timesApplied, ports });
    expect(problems).toContain(
      'the driver of reserve is not idempotent: the effect of the key cabinet:task-under-test:reserve was applied 2 times',
    );
  });

  it('R-DRV-1: that gives another output for a key it had is found by that', async () => {
    const problems = await problemsWith(() => {
      let count = 0;
      return { reserve: () => ({ place: `shelf ${(count += 1)}` }) };
    });
    expect(problems).toContain(
      'the driver of reserve is not idempotent: for the key cabinet:task-under-test:reserve it returned {"place":"shelf 2"} after {"place":"shelf 1"}',
    );
  });

  it('that returns what its schema refuses is found, with path and state', async () => {
    const failures = await failuresOf(
      testPipeline(order, { charge: () => ({ receipt: 7 }) }, { detours: 0, faults: ['none'] }),
    );
    expect(failures).toHaveLength(1);
    expect(failures[0]?.message).toMatch(/^order version 1, path "reserve → charge", fault "none":/);
    expect(failures[0]?.problems[0]).toMatch(
      /^the driver of charge returned what its output schema refuses: \$\.receipt: /,
    );
    expect(failures[0]?.message).toContain('► 3 charge.running ──stage.completed──► completed');
  });

  it('R-LOCK-1: that ignores its abort signal is found', async () => {
    const deaf = ({ clock }: { readonly clock: Clock }) => ({
      reserve: () => new Promise((resolve) => void clock.setTimer(20_000, () => resolve({ place: 'shelf' }))),
    });
    expect(await problemsWith(deaf, { faults: ['none'] })).toContain(
      'the driver of reserve ignores its abort signal: it had not settled 5000 ms after the abort',
    );
  });

  it('R-IDEM-3: whose lookup answers now this, now that is found', async () => {
    let count = 0;
    const reserve = {
      execute: () => ({ place: 'shelf' }),
      lookup: (): Promise<LookupAnswer<unknown>> =>
        Promise.resolve((count += 1) % 2 === 0 ? { kind: 'notDone' } : { kind: 'done', output: { place: 'shelf' } }),
    };
    expect(await problemsWith({ reserve }, { faults: ['none'] })).toContain(
      'the lookup of reserve is not deterministic: it answered {"kind":"done","output":{"place":"shelf"}}, then {"kind":"notDone"}',
    );
  });

  it('R-IDEM-3: whose lookup knows nothing of what the driver did is found', async () => {
    const reserve = {
      execute: () => ({ place: 'shelf' }),
      lookup: (): Promise<LookupAnswer<unknown>> => Promise.resolve({ kind: 'notDone' }),
    };
    expect(await problemsWith({ reserve }, { faults: ['none'] })).toContain(
      'the lookup of reserve says notDone of what its driver has returned: {"place":"shelf"}',
    );
  });

  it('that throws is told of with what it threw and where the task went instead', async () => {
    const failures = await failuresOf(
      testPipeline(order, { reserve: () => Promise.reject(new Error('no shelf')) }, { detours: 0, faults: ['none'] }),
    );
    expect(failures[0]?.problems[0]).toBe('the driver of reserve threw Error: no shelf');
    expect(failures[0]?.message).toContain('► 2 reserve.running ──stage.completed──► charge.running');
  });
});

describe('an engine', () => {
  it('R-WRK-2 R-LOCK-1: whose fence lets a zombie write is found by the zombie’s case', async () => {
    const cases = planPipelineTests(
      (world) => {
        const test = TestEngine.create(world);
        const { journal } = test;
        const append = journal.append.bind(journal);
        journal.append = async (request) => {
          const last = await journal.readLast(request.shard);
          return append({ ...request, expectedLast: last?.sequence ?? request.expectedLast });
        };
        return test;
      },
      order,
      'simulated',
      { detours: 0, faults: ['zombie outcome'] },
    );
    const [failure] = await failuresOf(cases);
    expect(failure?.problems).toContain('the record of an owner that had lost its shard was written');
  });
});

/** Drivers with an outside that honors keys. */
function goodDrivers() {
  const places = new Map<string, { place: string }>();
  return {
    reserve: {
      execute: ({ idempotencyKey }: StageContext) => {
        const place = places.get(idempotencyKey) ?? { place: `shelf ${places.size + 1}` };
        places.set(idempotencyKey, place);
        return place;
      },
      lookup: ({ idempotencyKey }: Pick<StageContext, 'idempotencyKey'>): Promise<LookupAnswer<unknown>> => {
        const place = places.get(idempotencyKey);
        return Promise.resolve(place === undefined ? { kind: 'notDone' } : { kind: 'done', output: place });
      },
    },
    charge: () => ({ receipt: 'r-1' }),
  };
}
