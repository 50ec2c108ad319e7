import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { FatalError } from '../../../src/core/driver-errors.ts';
import type { TaskId } from '../../../src/core/ids.ts';
import { definePipeline } from '../../../src/pipeline/define-pipeline.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../../src/platform/memory-metrics.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import { MemoryBlobStore, type BlobOperation } from '../../../src/store/memory-blobs.ts';
import type { StoreFault } from '../../../src/store/store-fault.ts';
import {
  janitorIntervalMs,
  janitorMarginMs,
  maximumTasksPerLook,
  PayloadJanitor,
} from '../../../src/supervisor/payload-janitor.ts';
import { TestEngine } from '../../../src/testing.ts';

const config = { finishedRetentionMs: 60_000, auditWindowMs: 3_600_000 };
const keepMs = config.auditWindowMs + janitorMarginMs;

function world(faults: (operation: BlobOperation) => StoreFault = () => 'none') {
  const clock = new VirtualClock();
  const blobs = new MemoryBlobStore({ clock, faults });
  const known = new Set<string>();
  const away = new Set<string>();
  const metrics = new MemoryMetrics();
  const logger = new MemoryLogger();
  let onAsked: (taskId: TaskId) => void = () => undefined;
  const janitor = new PayloadJanitor({
    blobs,
    clock,
    random: new SeededRandom(1),
    logger,
    metrics,
    config,
    serves: (taskId) => !away.has(taskId),
    knows: async (taskId) => {
      onAsked(taskId);
      return taskId.startsWith('doubt') ? null : known.has(taskId);
    },
  });
  return {
    clock,
    blobs,
    known,
    away,
    metrics,
    logger,
    janitor,
    set onAsked(listener: (taskId: TaskId) => void) {
      onAsked = listener;
    },
    left: async () => [...(await blobs.census(() => true)).newestAt.keys()],
  };
}

describe('the payload janitor', () => {
  it('deletes the payloads of a task that its shard no longer knows, once history has forgotten it too', async () => {
    const { clock, blobs, janitor, left, metrics } = world();
    await blobs.put('gone', 'input', new Uint8Array(3));
    await clock.advance(keepMs);
    expect(await janitor.look()).toBe(0);
    await clock.advance(1);
    expect(await janitor.look()).toBe(1);
    expect(await left()).toEqual([]);
    expect(metrics.value('payload_tasks_deleted_total')).toBe(1);
    expect(await janitor.look()).toBe(0);
  });

  it('keeps those of a task that is live or finished, of a shard that others serve, and of one that cannot be asked', async () => {
    const { clock, blobs, janitor, left, known, away } = world();
    for (const taskId of ['known', 'elsewhere', 'doubt']) await blobs.put(taskId, 'input', new Uint8Array(3));
    known.add('known');
    away.add('elsewhere');
    await clock.advance(keepMs * 10);
    expect(await janitor.look()).toBe(0);
    expect(await left()).toEqual(['known', 'elsewhere', 'doubt']);
  });

  it('keeps all of a task whose newest payload is young, the old ones too', async () => {
    const { clock, blobs, janitor, left } = world();
    await blobs.put('long', 'input', new Uint8Array(3));
    await clock.advance(keepMs);
    await blobs.put('long', 'output.parse', new Uint8Array(3));
    await clock.advance(60_000);
    expect(await janitor.look()).toBe(0);
    expect(await left()).toEqual(['long']);
  });

  it('I16: a node that lost the shard while it looked takes nothing from a task that was submitted again since', async () => {
    const world1 = world();
    const { clock, blobs, janitor } = world1;
    await blobs.put('again', 'input', new Uint8Array(3));
    await clock.advance(keepMs + 1);
    // The new owner accepts the same task once more, in the middle of the old owner's look.
    const stored = new Promise<void>((resolve) => {
      world1.onAsked = () => void blobs.put('again', 'input', new Uint8Array(3)).then(() => resolve());
    });
    await janitor.look();
    await stored;
    const { newestAt } = await blobs.census(() => true);
    expect(newestAt.get('again')).toBe(clock.now());
  });

  it('deletes nothing of a shard that was lost while it was asked', async () => {
    const world1 = world();
    const { clock, blobs, janitor, left, away } = world1;
    await blobs.put('moved', 'input', new Uint8Array(3));
    await clock.advance(keepMs + 1);
    world1.onAsked = (taskId) => away.add(taskId);
    expect(await janitor.look()).toBe(0);
    expect(await left()).toEqual(['moved']);
  });

  it('looks every hour, goes on after UNAVAILABLE, and not after its end', async () => {
    let fault: StoreFault = 'unavailable';
    const { clock, blobs, janitor, left, logger } = world(() => fault);
    fault = 'none';
    await blobs.put('gone', 'input', new Uint8Array(3));
    fault = 'unavailable';
    janitor.start();
    await clock.advance(keepMs + janitorIntervalMs);
    expect(
      logger.lines.filter(({ message }) => message.includes('could not be looked through')).length,
    ).toBeGreaterThan(2);
    fault = 'none';
    await clock.advance(janitorIntervalMs);
    expect(await left()).toEqual([]);
    janitor.close();
    await blobs.put('late', 'input', new Uint8Array(3));
    await clock.advance(keepMs + 2 * janitorIntervalMs);
    expect(await left()).toEqual(['late']);
  });

  it('deletes a bounded number of tasks in one look, the oldest first', async () => {
    const { clock, blobs, janitor, left } = world();
    for (let index = 0; index <= maximumTasksPerLook; index += 1) await blobs.put(`t-${index}`, 'x', new Uint8Array(1));
    await clock.advance(1);
    await blobs.put('newest', 'x', new Uint8Array(1));
    await clock.advance(keepMs + 1);
    expect(await janitor.look()).toBe(maximumTasksPerLook);
    expect(await left()).toEqual([`t-${maximumTasksPerLook}`, 'newest']);
  });
});

describe('an engine', () => {
  const bytes = 5_000;
  const anEngine = async () => {
    const pipeline = definePipeline({
      name: 'large',
      version: 1,
      input: z.object({ text: z.string(), isBroken: z.boolean() }),
      stages: (stages) =>
        stages.stage('parse', {
          output: z.string(),
          retry: { maxAttempts: 1 },
          timeoutMs: 1_000,
          driver: ({ input }) => {
            if (input.isBroken) throw new FatalError('broken');
            return input.text;
          },
        }),
    });
    const test = await TestEngine.start({
      pipelines: [pipeline],
      config: { ...config, inlinePayloadBytes: 1_000, shardCount: 4, leaseTtlMs: 3_600_000, leaseRenewMs: 1_000_000 },
    });
    const submit = (taskId: string, isBroken = false) =>
      test.run(test.client.submit(pipeline, { text: 'x'.repeat(bytes), isBroken }, { taskId }));
    const stored = async () => [...(await test.blobs.census(() => true)).newestAt.keys()].toSorted();
    return { test, submit, stored };
  };

  it('deletes the payloads of a finished task after every retention, and keeps those of a dead letter', async () => {
    const { test, submit, stored } = await anEngine();
    await submit('done');
    await submit('dead', true);
    await test.advance(10_000);
    expect(await stored()).toEqual(['dead', 'done']);
    await test.advance(keepMs - 20_000);
    expect(await stored()).toEqual(['dead', 'done']);
    await test.advance(2 * janitorIntervalMs);
    expect(await stored()).toEqual(['dead']);
    await test.stop();
  });
});
