import { describe, expect, it, vi } from 'vitest';
import type { StageContext } from '../../../src/ports/driver.ts';
import { aRun, type RunSettings } from '../../support/a-stage-run.ts';

type Checkpoint = StageContext['checkpoint'];

/** A run whose driver does this with its checkpoints. */
function aRunOf(body: (checkpoint: Checkpoint, ctx: StageContext) => unknown, settings: RunSettings = {}) {
  return aRun((ctx) => body((name, fn) => ctx.checkpoint(name, fn), ctx), settings);
}

describe('a checkpoint', () => {
  it('R-IDEM-1: resolves only when its value is committed', async () => {
    const run = aRunOf((checkpoint) => checkpoint('photo-1', () => ({ url: 'a' })));
    run.commitsCheckpoints = false;
    await run.started();
    expect(run.outcomes).toEqual([
      { type: 'checkpoint.reached', stage: 'photos', attempt: 1, name: 'photo-1', value: { json: { url: 'a' } } },
    ]);
    run.run.checkpointCommitted('photo-1');
    await run.clock.advance(0);
    expect(run.result).toMatchObject({ kind: 'completed', output: { json: { url: 'a' } } });
  });

  it('R-IDEM-1: that an earlier attempt has committed gives its value and does not run again', async () => {
    const take = vi.fn(() => 'again');
    const checkpoints = { 'photo-1': { json: { url: 'a' } }, 'photo-2': { json: null } };
    const run = await aRunOf(
      async (checkpoint) => [await checkpoint('photo-1', take), await checkpoint('photo-2', take)],
      { checkpoints, attempt: 2 },
    ).started();
    expect(run.result).toMatchObject({ output: { json: [{ url: 'a' }, null] } });
    expect(take).not.toHaveBeenCalled();
    expect(run.checkpointNames).toEqual([]);
  });

  it('R-IDEM-1: gives the same value in this attempt as a later one will get', async () => {
    const run = aRunOf((checkpoint) => checkpoint('photo-1', () => ({ url: 'a', size: undefined })));
    await run.started();
    const [reached] = run.outcomes;
    if (reached?.type !== 'checkpoint.reached') throw new Error('no checkpoint was reached');
    const again = await aRunOf((checkpoint) => checkpoint('photo-1', () => 'again'), {
      checkpoints: { 'photo-1': reached.value },
    }).started();
    expect(again.result).toEqual(run.result);
    expect(Object.keys((again.result as unknown as { output: { json: object } }).output.json)).toEqual(['url']);
  });

  it('that is large is stored outside, and given back to a later attempt', async () => {
    const large = 'x'.repeat(2_000);
    const run = await aRunOf((checkpoint) => checkpoint('photo-1', () => large)).started();
    const [reached] = run.outcomes;
    if (reached?.type !== 'checkpoint.reached') throw new Error('no checkpoint was reached');
    expect(reached.value).toMatchObject({ blob: { key: expect.stringMatching(/^t-1\/photos\.photo-1\//) } });
    const again = await aRunOf(async (checkpoint) => (await checkpoint('photo-1', () => '')) === large, {
      checkpoints: { 'photo-1': reached.value },
      blobs: run.blobs,
    }).started();
    expect(again.result).toMatchObject({ output: { json: true } });
  });

  it('of one name asked for twice at once runs once, and both get its value', async () => {
    const take = vi.fn(() => Promise.resolve('a'));
    const run = await aRunOf((checkpoint) =>
      Promise.all([checkpoint('photo-1', take), checkpoint('photo-1', take)]),
    ).started();
    expect(run.result).toMatchObject({ output: { json: ['a', 'a'] } });
    expect(take).toHaveBeenCalledTimes(1);
    expect(run.checkpointNames).toEqual(['photo-1']);
  });

  it('of one name asked for again later runs once', async () => {
    const take = vi.fn(() => 'a');
    const run = await aRunOf(async (checkpoint) => [
      await checkpoint('photo-1', take),
      await checkpoint('photo-1', take),
    ]).started();
    expect(run.result).toMatchObject({ output: { json: ['a', 'a'] } });
    expect(take).toHaveBeenCalledTimes(1);
  });

  it('R-FAIL-1: whose function fails passes its error on, and may be tried again within the attempt', async () => {
    let tries = 0;
    const take = () => {
      tries += 1;
      if (tries < 3) throw new Error(`camera ${tries}`);
      return 'a';
    };
    const errors: unknown[] = [];
    const run = await aRunOf(async (checkpoint) => {
      for (let round = 1; round < 3; round += 1) {
        await checkpoint('photo-1', take).catch((error: unknown) => errors.push(error));
      }
      return checkpoint('photo-1', take);
    }).started();
    expect(errors).toEqual([new Error('camera 1'), new Error('camera 2')]);
    expect(run.result).toMatchObject({ kind: 'completed', output: { json: 'a' } });
    expect(run.checkpointNames).toEqual(['photo-1']);
  });

  it.each(['', 'Photo', '-a', 'a b', 'a/b', 'ä', '__proto__', 'x'.repeat(129)])(
    "INVALID_ARGUMENT for the name '%s', and its function does not run",
    async (name) => {
      const take = vi.fn(() => 1);
      const run = await aRunOf((checkpoint) => checkpoint(name, take)).started();
      expect(run.result).toMatchObject({ failure: { class: 'contract', code: 'INVALID_ARGUMENT' } });
      expect(take).not.toHaveBeenCalled();
    },
  );

  it.each(['constructor', 'to.string', '7', 'photo_7-b', 'x'.repeat(128)])(
    "may be named '%s', which no object has by itself",
    async (name) => {
      const run = await aRunOf((checkpoint) => checkpoint(name, () => 'mine')).started();
      expect(run.result).toMatchObject({ kind: 'completed', output: { json: 'mine' } });
    },
  );

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['a BigInt', 7n],
    ['a function', () => 1],
  ])('UNSERIALIZABLE when its function returns %s', async (_what, value) => {
    const run = await aRunOf((checkpoint) => checkpoint('photo-1', () => value)).started();
    expect(run.result).toMatchObject({ failure: { class: 'contract', code: 'UNSERIALIZABLE' } });
    expect(run.checkpointNames).toEqual([]);
  });

  it('INVALID_ARGUMENT for one more than the stage may have, those of earlier attempts counted', async () => {
    const run = await aRunOf(
      async (checkpoint) => {
        await checkpoint('photo-1', () => 1);
        await checkpoint('photo-2', () => 2);
        await checkpoint('photo-3', () => 3);
      },
      { checkpoints: { 'photo-1': { json: 1 } }, maxCheckpoints: 2 },
    ).started();
    expect(run.checkpointNames).toEqual(['photo-2']);
    expect(run.result).toMatchObject({
      failure: {
        class: 'contract',
        code: 'INVALID_ARGUMENT',
        message: 'stage photos has more than 2 checkpoints',
      },
    });
  });

  it('that is tried again counts once against that limit', async () => {
    const run = await aRunOf(
      async (checkpoint) => {
        for (let round = 0; round < 5; round += 1) await checkpoint('photo-1', () => round as never).catch(() => null);
        for (const value of [7n, 7n, 1]) await checkpoint('photo-2', () => value).catch(() => null);
        return checkpoint('photo-2', () => 2);
      },
      { maxCheckpoints: 2 },
    ).started();
    expect(run.result).toMatchObject({ kind: 'completed', output: { json: 1 } });
    expect(run.checkpointNames).toEqual(['photo-1', 'photo-2']);
  });

  it('INVALID_ARGUMENT also for many at once: the limit holds whatever the order', async () => {
    const run = await aRunOf(
      (checkpoint) =>
        Promise.allSettled(['a', 'b', 'c', 'd'].map((name) => checkpoint(name, () => name))).then(
          (all) => all.filter(({ status }) => status === 'fulfilled').length,
        ),
      { maxCheckpoints: 2 },
    ).started();
    expect(run.checkpointNames).toEqual(['a', 'b']);
    expect(run.result).toMatchObject({ output: { json: 2 } });
  });

  it('that is dropped rejects: the attempt is not the current one any more', async () => {
    const errors: unknown[] = [];
    const run = aRunOf(async (checkpoint) => {
      await checkpoint('photo-1', () => 1).catch((error: unknown) => errors.push(error));
      return 'went on';
    });
    run.commitsCheckpoints = false;
    await run.started();
    run.run.checkpointDropped('photo-1');
    await run.clock.advance(0);
    expect(errors).toMatchObject([{ code: 'CANCELED', message: 'attempt 1 is not the current one' }]);
  });

  it('that waits for its commit at a timeout rejects with it, so that its driver can stop', async () => {
    const errors: unknown[] = [];
    const run = aRunOf(async (checkpoint) => {
      await checkpoint('photo-1', () => 1).catch((error: unknown) => errors.push(error));
    });
    run.commitsCheckpoints = false;
    await run.started();
    await run.clock.advance(1_000);
    expect(errors).toMatchObject([{ name: 'TimeoutError' }]);
    expect(run.result).toMatchObject({ failure: { class: 'timeout' } });
    run.run.checkpointCommitted('photo-1'); // Its commit comes late: nobody waits for it, and a later attempt gets it.
    expect(run.outcomes).toHaveLength(2);
  });

  it('R-LOCK-1: of an attempt that is to stop neither runs its function nor commits', async () => {
    const take = vi.fn(() => 1);
    const errors: unknown[] = [];
    const run = await aRunOf(async (checkpoint, ctx) => {
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      await checkpoint('photo-1', take).catch((error: unknown) => errors.push(error));
    }).started();
    const reason = new Error('ownership lost');
    run.run.abort(reason);
    await run.clock.advance(0);
    expect(errors).toEqual([reason]);
    expect(take).not.toHaveBeenCalled();
    expect(run.outcomes).toEqual([]);
  });

  it('R-LOCK-1: whose function ends after the abort is not committed', async () => {
    let finish: (value: string) => void = () => {};
    const photo = new Promise<string>((resolve) => {
      finish = resolve;
    });
    const run = await aRunOf((checkpoint) => checkpoint('photo-1', () => photo)).started();
    run.run.abort(new Error('canceled'));
    finish('late');
    await run.clock.advance(0);
    expect([run.outcomes, run.ends]).toEqual([[], ['settled']]);
  });

  it('R-FAIL-1: that nobody awaits does not end the process when it fails', async () => {
    const run = await aRunOf((checkpoint) => {
      void checkpoint('photo-1', () => Promise.reject(new Error('forgotten')));
      return 'done';
    }).started();
    expect(run.result).toMatchObject({ kind: 'completed', output: { json: 'done' } });
  });
});
