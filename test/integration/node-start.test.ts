import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { RetryableError } from '../../src/core/driver-errors.ts';
import type { ErrorCode } from '../../src/core/errors.ts';
import { journalStream } from '../../src/core/subjects.ts';
import { type NodeOptions, type RunningNode, startNode } from '../../src/node.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../src/platform/memory-metrics.ts';
import { type NatsFixture, startNats } from '../support/nats-server.ts';
import { expectEngineError } from '../support/nats-store-kit.ts';
import { eventually, NatsWorld } from '../support/nats-world.ts';

/** A pipeline whose tasks fail once and then wait for an hour, so that they are live for as long as a test needs. */
function waiting(version: number, maxAttempts = 2): PipelineDefinition {
  return definePipeline({
    name: 'waiting',
    version,
    input: z.object({ done: z.boolean().default(false) }),
    stages: (pipeline) =>
      pipeline.stage('wait', {
        output: z.object({ version: z.number() }),
        retry: { maxAttempts, initialDelayMs: 3_600_000, maxDelayMs: 3_600_000 },
        timeoutMs: 5_000,
        driver: ({ input, attempt }) => {
          if (!input.done && attempt === 1) throw new RetryableError('not yet');
          return { version };
        },
      }),
  });
}

describe('the start of a node', () => {
  let nats: NatsFixture;
  let world: NatsWorld;
  let lastNamespace = 0;

  beforeAll(async () => {
    nats = await startNats();
    world = new NatsWorld(nats, 1);
  });

  afterAll(() => world?.stop());

  function freshNamespace(): string {
    lastNamespace += 1;
    return `start${lastNamespace}`;
  }

  function start(options: Partial<NodeOptions> & { readonly namespace: string }): Promise<RunningNode> {
    const { namespace, config, ...rest } = options;
    return startNode({
      pipelines: [waiting(1)],
      nodeId: 'n-1',
      config: { namespace, shardCount: 2, ...config },
      nats: { servers: nats.url },
      logger: new MemoryLogger(),
      metrics: new MemoryMetrics(),
      ...rest,
    });
  }

  /** Runs a node, does something with it, and stops it in good order. */
  async function withNode<Result>(
    options: Parameters<typeof start>[0],
    act: (node: RunningNode) => Promise<Result> | Result,
  ): Promise<Result> {
    const node = await start(options);
    try {
      return await act(node);
    } finally {
      await node.stop({ graceMs: 1_000 });
    }
  }

  /** Expects a start to fail, and to leave no connection behind. */
  async function expectRefusal(options: Parameters<typeof start>[0], code: ErrorCode): Promise<Error> {
    const error = await expectEngineError(start({ ...options, nodeId: 'refused' }), code);
    await eventually('nothing is left of the failed start', async () => {
      const answer = await fetch(`${nats.monitorUrls[0]}/connz`);
      const { connections } = (await answer.json()) as { readonly connections: readonly { readonly name: string }[] };
      return !connections.some(({ name }) => name.startsWith('cabinet-refused-'));
    });
    return error;
  }

  it('CONFIG_INVALID: another shard count than the cluster was created with is refused', async () => {
    const namespace = freshNamespace();
    await withNode({ namespace }, (node) => expect(node.isReady).toBe(true));
    const error = await expectRefusal({ namespace, config: { shardCount: 3 } }, 'CONFIG_INVALID');
    expect(error).toMatchObject({ field: 'shardCount', limit: '2', got: '3' });
    await withNode({ namespace }, (node) => expect(node.status.owned).toHaveLength(2));
  });

  it('CONFIG_INVALID: a setting that does not exist is refused before any connection', async () => {
    const error = await expectEngineError(
      start({ namespace: freshNamespace(), config: { shards: 2 } as never, nats: { servers: 'nats://127.0.0.1:1' } }),
      'CONFIG_INVALID',
    );
    expect(error).toMatchObject({ field: 'shards' });
  });

  it('DEFINITION_CHANGED: a version whose definition differs from the recorded one is refused, a new version is not', async () => {
    const namespace = freshNamespace();
    await withNode({ namespace }, () => undefined);
    const error = await expectRefusal({ namespace, pipelines: [waiting(1, 5)] }, 'DEFINITION_CHANGED');
    expect(error.message).toContain('pipeline waiting version 1');
    await withNode({ namespace, pipelines: [waiting(1), waiting(2, 5)] }, (node) => expect(node.isReady).toBe(true));
  });

  it('R-CORE-3: PIPELINE_VERSION_UNKNOWN: a version that has live tasks cannot be removed; the error names it', async () => {
    const namespace = freshNamespace();
    const taskId = await withNode({ namespace, pipelines: [waiting(1), waiting(2)] }, async ({ client }) => {
      const submitted = await client.submit('waiting', {}, { version: 1 });
      await eventually('it backs off', async () => (await client.get(submitted.taskId)).status === 'backingOff');
      return submitted.taskId;
    });
    const error = await expectRefusal({ namespace, pipelines: [waiting(2)] }, 'PIPELINE_VERSION_UNKNOWN');
    expect(error.message).toBe('pipeline waiting has no version 1');
    expect(error).toMatchObject({ field: 'version', got: '1' });
    await withNode({ namespace, pipelines: [waiting(1), waiting(2)] }, async ({ client }) => {
      expect(await client.get(taskId)).toMatchObject({ status: 'backingOff', version: 1, attempt: 1 });
      await client.cancel(taskId);
    });
  });

  it('R-CORE-3: a version whose tasks have all ended can be removed', async () => {
    const namespace = freshNamespace();
    await withNode({ namespace, pipelines: [waiting(1), waiting(2)] }, async ({ client }) => {
      const { taskId } = await client.submit('waiting', { done: true }, { version: 1 });
      expect(await client.result('waiting', taskId)).toEqual({ wait: { version: 1 } });
    });
    await withNode({ namespace, pipelines: [waiting(2)] }, async ({ client }) => {
      const { taskId } = await client.submit('waiting', { done: true });
      expect(await client.result('waiting', taskId)).toEqual({ wait: { version: 2 } });
      // What nobody can read any more hides nothing else.
      expect((await client.list({ includeFinished: true })).tasks.map((task) => task.taskId)).toContain(taskId);
    });
  });

  it('DURABILITY_UNSAFE: power-loss durability is refused on a server that does not sync every write', async () => {
    const { monitorUrls, url } = nats;
    const namespace = freshNamespace();
    const durable = { namespace, config: { durability: 'power-loss' as const } };
    const error = await expectRefusal({ ...durable, nats: { servers: url, monitorUrls } }, 'DURABILITY_UNSAFE');
    expect(error).toMatchObject({ field: 'durability', hint: expect.stringContaining('sync_interval: always') });
    const survivesCrashes = { namespace, nats: { servers: url, monitorUrls } };
    await withNode(survivesCrashes, (node) => expect(node.durability.level).toBe('process-crash'));
  });

  it('DURABILITY_UNSAFE: power-loss durability is granted where every server proves that it syncs, and nowhere else', async () => {
    const syncing = await startNats({ sync: 'always' });
    try {
      const durable = { namespace: freshNamespace(), config: { durability: 'power-loss' as const } };
      const proven = { servers: syncing.url, monitorUrls: syncing.monitorUrls };
      await withNode({ ...durable, nats: proven }, async (node) => {
        expect(node.durability.level).toBe('power-loss');
        const { taskId } = await node.client.submit('waiting', { done: true });
        expect(await node.client.result('waiting', taskId)).toEqual({ wait: { version: 1 } });
      });
      await expectEngineError(start({ ...durable, nats: { servers: syncing.url } }), 'DURABILITY_UNSAFE');
      const strange = { servers: syncing.url, monitorUrls: nats.monitorUrls };
      await expectEngineError(start({ ...durable, nats: strange }), 'DURABILITY_UNSAFE');
    } finally {
      await syncing.stop();
    }
  });

  it('NATS_UNREACHABLE: a node without a server gives up within its connect timeout', async () => {
    const startedMs = performance.now();
    const nowhere = { servers: 'nats://127.0.0.1:1', connectTimeoutMs: 1_000 };
    const error = await expectEngineError(start({ namespace: freshNamespace(), nats: nowhere }), 'NATS_UNREACHABLE');
    expect(performance.now() - startedMs).toBeLessThan(3_000);
    expect(error.message).toContain('127.0.0.1:1');
  });

  it('NATS_UNREACHABLE: a server that accepts connections and says nothing counts as none', async () => {
    const silent = await startNats();
    try {
      await silent.freeze();
      const startedMs = performance.now();
      const options = { namespace: freshNamespace(), nats: { servers: silent.url, connectTimeoutMs: 1_000 } };
      await expectEngineError(start(options), 'NATS_UNREACHABLE');
      expect(performance.now() - startedMs).toBeLessThan(10_000);
    } finally {
      await silent.stop();
    }
  });

  it('JETSTREAM_DISABLED: a server without JetStream is refused', async () => {
    const plain = await startNats({ jetStream: false });
    try {
      await expectEngineError(
        start({ namespace: freshNamespace(), nats: { servers: plain.url } }),
        'JETSTREAM_DISABLED',
      );
    } finally {
      await plain.stop();
    }
  });

  it('STREAM_MISCONFIGURED: a journal that would forget by age is refused, with the setting', async () => {
    const namespace = freshNamespace();
    await withNode({ namespace }, () => undefined);
    const { connection } = await world.link();
    const name = journalStream(namespace);
    const info = (await connection.request(`$JS.API.STREAM.INFO.${name}`)).json<{ readonly config: object }>();
    const setAge = async (maxAge: number): Promise<void> => {
      const update = JSON.stringify({ ...info.config, max_age: maxAge });
      const answer = await connection.request(`$JS.API.STREAM.UPDATE.${name}`, update);
      expect(answer.json<{ readonly error?: unknown }>().error).toBeUndefined();
    };
    await setAge(3_600_000_000_000);
    const error = await expectRefusal({ namespace }, 'STREAM_MISCONFIGURED');
    expect(error).toMatchObject({ field: 'max_age', limit: '0' });
    await setAge(0);
    await withNode({ namespace }, (node) => expect(node.isReady).toBe(true));
  });

  it('STREAM_MISCONFIGURED: a stream of somebody else under the journal’s name is refused', async () => {
    const namespace = freshNamespace();
    const { connection } = await world.link();
    const name = journalStream(namespace);
    const foreign = { name, subjects: [`${namespace}.other.*`], storage: 'file', num_replicas: 1 };
    await connection.request(`$JS.API.STREAM.CREATE.${name}`, JSON.stringify(foreign));
    const error = await expectRefusal({ namespace }, 'STREAM_MISCONFIGURED');
    expect(error.message).toContain(name);
  });

  it('R-LOCK-2: two nodes share a cluster without taking each other’s shards, and a stop frees its own', async () => {
    const namespace = freshNamespace();
    const first = await start({ namespace, nodeId: 'n-1' });
    const second = await start({ namespace, nodeId: 'n-2' });
    const owned = [...first.status.owned, ...second.status.owned].map(({ shard }) => shard);
    expect(owned.toSorted((left, right) => left - right)).toEqual([0, 1]);
    const { taskId } = await second.client.submit('waiting', { done: true });
    const { owner } = await second.client.get(taskId);
    await first.stop({ graceMs: 1_000 });
    await eventually('the other node has every shard', () => second.status.owned.length === 2);
    const { epoch = 0 } = owner ?? {};
    const expected = owner?.node === 'n-2' ? { node: 'n-2', epoch } : { node: 'n-2', epoch: epoch + 1 };
    expect((await second.client.get(taskId)).owner).toMatchObject(expected);
    await second.stop({ graceMs: 1_000 });
  });
});
