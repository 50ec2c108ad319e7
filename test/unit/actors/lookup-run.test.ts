import { describe, expect, it } from 'vitest';
import { runLookup } from '../../../src/actors/lookup-run.ts';
import type { Outcome } from '../../../src/core/messages.ts';
import type { LookupContext, StageContext } from '../../../src/ports/driver.ts';
import { aRun, type RunInTest, type RunSettings } from '../../support/a-stage-run.ts';

type Lookup = (ctx: LookupContext) => unknown;

/** A lookup that was started in virtual time, and what has come of it. */
class LookupInTest {
  readonly world: RunInTest;
  readonly outcomes: Outcome[] = [];
  readonly controller = new AbortController();
  isOver = false;

  constructor(lookup: Lookup, settings: RunSettings) {
    this.world = aRun({ execute: () => null, lookup: lookup as never }, settings);
  }

  start(): this {
    void runLookup(this.world.job, this.world.deps, this.controller.signal, (outcome) =>
      this.outcomes.push(outcome),
    ).finally(() => {
      this.isOver = true;
    });
    return this;
  }

  async pass(ms: number): Promise<this> {
    await this.world.clock.advance(ms);
    return this;
  }

  get answers(): unknown[] {
    return this.outcomes.map((outcome) => (outcome.type === 'lookup.answered' ? outcome.answer : outcome));
  }
}

function asked(lookup: Lookup, settings: RunSettings = {}): Promise<LookupInTest> {
  return new LookupInTest(lookup, settings).start().pass(0);
}

const unknown = { kind: 'unknown' };

describe('a lookup', () => {
  it('R-IDEM-1: that says done gives the output as if the driver had returned it, with the way on', async () => {
    const lookup = await asked(() => Promise.resolve({ kind: 'done', output: 'x'.repeat(2_000) }), { attempt: 3 });
    expect(lookup.outcomes).toEqual([
      {
        type: 'lookup.answered',
        stage: 'photos',
        attempt: 3,
        answer: { kind: 'done', output: { blob: expect.any(Object) }, next: 'publish', skipped: [] },
      },
    ]);
  });

  it.each([
    ['notDone', { kind: 'notDone' }, { kind: 'notDone' }],
    ['unknown', { kind: 'unknown' }, unknown],
    ['what is no answer', { kind: 'perhaps' }, unknown],
    ['nothing', undefined, unknown],
    ['a text', 'done', unknown],
    ['null', null, unknown],
  ])('R-IDEM-3: that says %s is taken as that, and never guessed at', async (_what, answer, taken) => {
    expect((await asked(() => Promise.resolve(answer))).answers).toEqual([taken]);
  });

  it('R-IDEM-2: is told key, attempt, fence, input and outputs, so that it can ask for this very effect', async () => {
    const seen: LookupContext[] = [];
    await asked(
      (ctx) => {
        seen.push(ctx);
        return { kind: 'notDone' };
      },
      { attempt: 2, ports: { shop: 1 } },
    );
    expect(seen[0]).toMatchObject({
      idempotencyKey: 'cabinet:t-1:photos',
      attempt: 2,
      fence: { shard: 3, epoch: 5, sequence: 70 },
      input: { url: 'a' },
      outputs: { parse: 'parsed' },
      ports: { shop: 1 },
    });
  });

  it('R-FAIL-1: that fails is asked again with backoff, as often as the policy allows, then it is unknown', async () => {
    const instants: number[] = [];
    const lookup = new LookupInTest(() => {
      instants.push(lookup.world.clock.monotonicMs());
      throw new Error('the shop is closed');
    }, {}).start();
    await lookup.pass(10_000);
    expect(instants).toEqual([0, 100, 300]); // Three attempts, 100 ms and then 200 ms between them.
    expect(lookup.answers).toEqual([unknown]);
    expect(lookup.isOver).toBe(true);
    expect(lookup.world.logger.messages('warn')).toEqual(['a lookup failed', 'a lookup failed', 'a lookup failed']);
  });

  it('that answers at a later try is believed', async () => {
    let tries = 0;
    const lookup = await asked(() => {
      tries += 1;
      return tries === 1 ? Promise.reject(new Error('busy')) : Promise.resolve({ kind: 'notDone' });
    });
    expect(lookup.answers).toEqual([]);
    await lookup.pass(100);
    expect(lookup.answers).toEqual([{ kind: 'notDone' }]);
  });

  it('that never answers is asked again after the timeout, with its signal aborted, and is unknown in the end', async () => {
    const signals: AbortSignal[] = [];
    const lookup = await asked((ctx) => {
      signals.push(ctx.signal);
      return new Promise(() => {});
    });
    await lookup.pass(1_000 + 100 + 1_000 + 200 + 999);
    expect(lookup.answers).toEqual([]);
    await lookup.pass(1);
    expect(lookup.answers).toEqual([unknown]);
    expect(signals.map(({ reason }) => String(reason))).toEqual(Array(3).fill('Error: no answer within 1000 ms'));
    expect(lookup.world.clock.pendingTimers).toBe(0);
  });

  it.each<[string, unknown]>([
    ['a value that JSON cannot keep', 7n],
    ['a value that is too large', 'x'.repeat(5_000)],
  ])('R-IDEM-3: that says done with %s is unknown in the end: nothing is made up', async (_what, output) => {
    const lookup = await asked(() => Promise.resolve({ kind: 'done', output }));
    await lookup.pass(10_000);
    expect(lookup.answers).toEqual([unknown]);
  });

  it('R-FAIL-1: that throws what cannot be read is unknown in the end, as any other that fails', async () => {
    const unreadable = new Proxy(new Error('x'), {
      get: () => {
        throw new Error('no');
      },
    });
    const lookup = await asked(() => Promise.reject(unreadable));
    await lookup.pass(10_000);
    expect(lookup.answers).toEqual([unknown]);
    expect(lookup.world.logger.lines[0]?.fields).toMatchObject({ failure: { code: 'UNREADABLE_ERROR' } });
  });

  it('R-FAIL-1: waits out a store that is away', async () => {
    let faults = 2;
    const { blobs, deps, job } = aRun(() => null, { faults: () => ((faults -= 1) >= 0 ? 'unavailable' : 'none') });
    faults = 0;
    const input = await deps.payloads.pack(job.taskId, 'input', 'x'.repeat(2_000));
    faults = 2;
    const lookup = await asked(() => ({ kind: 'notDone' }), { input, blobs });
    await lookup.pass(10_000);
    expect(lookup.answers).toEqual([{ kind: 'notDone' }]);
  });

  it('may not run a sub-step, though its untyped context has the method', async () => {
    let ran = 0;
    const errors: unknown[] = [];
    const lookup = await asked(async (ctx) => {
      const step = (ctx as StageContext).checkpoint('photo-1', () => (ran += 1));
      await step.catch((error: unknown) => errors.push(error));
      return { kind: 'notDone' };
    });
    expect([ran, lookup.answers]).toEqual([0, [{ kind: 'notDone' }]]);
    expect(errors).toMatchObject([{ code: 'INVALID_ARGUMENT', field: 'checkpoint' }]);
  });
});

describe('a lookup that nobody waits for any more', () => {
  it('is told by its signal, and what it answers is dropped', async () => {
    const seen: AbortSignal[] = [];
    let answer: (value: unknown) => void = () => {};
    const lookup = await asked((ctx) => {
      seen.push(ctx.signal);
      return new Promise((resolve) => {
        answer = resolve;
      });
    });
    const reason = new Error('ownership lost');
    lookup.controller.abort(reason);
    expect(seen[0]?.reason).toBe(reason);
    answer({ kind: 'done', output: 1 });
    await lookup.pass(10_000);
    expect([lookup.outcomes, lookup.isOver, lookup.world.clock.pendingTimers]).toEqual([[], true, 0]);
  });

  it('is not asked again after its backoff', async () => {
    let tries = 0;
    const lookup = await asked(() => {
      tries += 1;
      throw new Error('busy');
    });
    lookup.controller.abort(new Error('canceled'));
    await lookup.pass(10_000);
    expect([tries, lookup.outcomes, lookup.isOver, lookup.world.clock.pendingTimers]).toEqual([1, [], true, 0]);
  });

  it('is not asked at all when it was called off before', async () => {
    let tries = 0;
    const lookup = new LookupInTest(() => {
      tries += 1;
      return { kind: 'notDone' };
    }, {});
    lookup.controller.abort(new Error('canceled'));
    await lookup.start().pass(10_000);
    expect([tries, lookup.outcomes, lookup.isOver]).toEqual([0, [], true]);
  });
});
