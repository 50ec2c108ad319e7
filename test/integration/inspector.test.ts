import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createWebSocketReceiver, type StatelyInspectionEvent } from '@statelyai/inspect';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { RunningAdmin } from '../../src/admin/server.ts';
import { openAdmin } from '../../src/admin.ts';
import { connectClient, type Client } from '../../src/client.ts';
import { FatalError } from '../../src/core/driver-errors.ts';
import { shardOf } from '../../src/core/hash.ts';
import type { TaskId } from '../../src/core/ids.ts';
import type { InspectionFrame } from '../../src/inspector/inspection-frame.ts';
import { type RunningNode, startNode } from '../../src/node.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../src/platform/memory-metrics.ts';
import { askServer, FakeIndex, MemoryAudit } from '../support/admin-kit.ts';
import { CliFolder, type RunningDev, until } from '../support/cli.ts';
import { eventTypesIn, TestViewer } from '../support/inspection-kit.ts';
import { type NatsFixture, startNats } from '../support/nats-server.ts';

const namespace = 'inspect';
const shardCount = 2;
/** The driver waits here, so that its shard can be moved under it. */
const gate = { open: Promise.resolve(), release: (): void => undefined };

const parcel = definePipeline({
  name: 'parcel',
  version: 1,
  input: z.object({ grams: z.number() }),
  stages: (pipeline) =>
    pipeline
      .stage('weigh', {
        output: z.object({ grams: z.number() }),
        retry: { maxAttempts: 2, initialDelayMs: 10 },
        timeoutMs: 60_000,
        driver: async ({ input, signal }) => {
          if (input.grams < 0) throw new FatalError('nothing weighs less than nothing');
          await Promise.race([gate.open, new Promise((resolve) => signal.addEventListener('abort', resolve))]);
          signal.throwIfAborted();
          return { grams: input.grams };
        },
      })
      .stage('label', { output: z.object({}), retry: { maxAttempts: 1 }, timeoutMs: 5_000, driver: () => ({}) }),
});

describe('the inspector of a running cluster', () => {
  let nats: NatsFixture;
  let first: RunningNode;
  let second: RunningNode;
  let client: Client;
  let admin: RunningAdmin;
  let folder: string;
  const viewers: TestViewer[] = [];

  const start = (nodeId: string): Promise<RunningNode> =>
    startNode({
      pipelines: [parcel],
      nodeId,
      config: { namespace, shardCount },
      nats: { servers: nats.url },
      logger: new MemoryLogger(),
      metrics: new MemoryMetrics(),
    });

  beforeAll(async () => {
    nats = await startNats();
    first = await start('n-1');
    client = await connectClient({ servers: nats.url, namespace });
    folder = await mkdtemp(join(tmpdir(), 'cabinet-inspect-'));
    admin = await openAdmin({
      nats: { servers: nats.url, namespace },
      dataDir: folder,
      // The console may well not have the pipelines: then it knows their stages from the engine.
      pipelines: [],
      port: 0,
      index: new FakeIndex(),
      audit: new MemoryAudit(),
      health: { live: () => [], ready: () => [], started: () => true },
      metrics: async () => '',
      logger: new MemoryLogger(),
    });
  });

  afterAll(async () => {
    gate.release();
    for (const viewer of viewers) viewer.leave();
    await admin?.stop({ graceMs: 500 });
    await client?.close();
    await second?.stop({ graceMs: 1_000 });
    await nats?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const ticket = async (): Promise<string> => {
    const token = admin.firstToken;
    const { body } = await askServer(admin.port, '/api/session/ticket', { method: 'POST', token });
    return (body as { readonly ticket: string }).ticket;
  };
  const address = async (taskId: string, query: string): Promise<string> =>
    `ws://127.0.0.1:${admin.port}/api/inspect/${taskId}?${query}&ticket=${await ticket()}`;
  const look = async (taskId: string, query = 'format=stately'): Promise<TestViewer> => {
    const viewer = new TestViewer(await address(taskId, query));
    viewers.push(viewer);
    expect(await viewer.opened).toBeNull();
    return viewer;
  };

  it('tells a task under the same ids while its shard moves to another node, to the package’s own receiver too', async () => {
    gate.open = new Promise((resolve) => (gate.release = resolve));
    await client.submit(parcel, { grams: 7 }, { taskId: 'moved-1' });
    const viewer = await look('moved-1');
    const received: StatelyInspectionEvent[] = [];
    createWebSocketReceiver({ server: await address('moved-1', 'format=stately&from=now') }).subscribe(
      (event) => void received.push(event),
    );
    await viewer.until((frames) => frames.some(({ sessionId }) => sessionId === 'moved-1/weigh#1'));
    await until('the receiver has its baseline', () => received.length >= 3);

    second = await start('n-2');
    await first.stop({ graceMs: 0 });
    await viewer.until((frames) => frames.some(({ sessionId }) => sessionId === 'moved-1/weigh#2'), 60_000);
    gate.release();
    expect(await viewer.closed).toEqual({ code: 1000, reason: 'ENDED' });

    const types = eventTypesIn(viewer.frames.filter(({ type }) => type === '@xstate.event'));
    expect(types).toContain('engine.owner.changed');
    expect(types.filter((type) => type === 'task.submitted')).toHaveLength(1);
    const move = viewer.frames.find(
      ({ event }) => (event as { readonly type?: string } | undefined)?.type === 'engine.owner.changed',
    );
    expect(move).toMatchObject({ sessionId: 'moved-1', event: { node: 'n-2', previous: { node: 'n-1' } } });
    expect(new Set(viewer.frames.map(({ rootId }) => rootId))).toEqual(new Set(['moved-1']));
    expect(
      viewer.frames.filter(({ type, sessionId }) => type === '@xstate.actor' && sessionId === 'moved-1'),
    ).toHaveLength(1);
    expect(viewer.frames.at(-1)).toMatchObject({ snapshot: { value: 'completed', status: 'done' } });
    expect((await client.get('moved-1')).state).toBe('completed');

    // What it got from now on is the end of what the other got from the start.
    await until('the receiver has all', () => received.length > 3 && isEnd(received.at(-1)));
    const live = received.slice(3);
    expect(live).toEqual(viewer.frames.slice(-live.length));
    // Whoever comes later is told the same.
    const late = await look('moved-1');
    await late.closed;
    expect(late.frames).toEqual(viewer.frames);
  });

  it('replays a dead letter and waits for what an operator makes of it', async () => {
    await client.submit(parcel, { grams: -1 }, { taskId: 'dead-1' });
    await until('it is dead-lettered', async () => (await client.get('dead-1')).status === 'deadLettered');
    const viewer = await look('dead-1', 'format=engine&speed=10');
    await viewer.until((frames) => frames.some(({ snapshot }) => stateOf(snapshot) === 'deadLettered.weigh'));
    await client.redrive('dead-1', { by: 'ops', reason: 'once more' });
    await viewer.until((frames) => eventTypesIn(frames).filter((type) => type === 'stage.failed').length === 2);
    expect(
      viewer.frames.find(({ event }) => (event as { type?: string } | undefined)?.type === 'task.redriven'),
    ).toMatchObject({
      event: { origin: { by: 'ops', reason: 'once more' } },
    });
    expect(viewer.frames[0]).toMatchObject({ stages: [{ name: 'weigh' }, { name: 'label' }] });
    viewer.leave();
  });

  it('TASK_NOT_FOUND: a task that was never submitted', async () => {
    const viewer = await look('nobody');
    expect(await viewer.closed).toEqual({ code: 4404, reason: 'TASK_NOT_FOUND' });
    expect(shardOf('nobody' as TaskId, shardCount)).toBeLessThan(shardCount);
  });
});

describe('cabinet inspect', () => {
  let folder: CliFolder;
  let dev: RunningDev;

  beforeAll(async () => {
    folder = await CliFolder.create();
    dev = await folder.startDev();
    await folder.run(['task', 'submit', 'demo', '--input', '{"n":2}', '--id', 'done-1', '--wait']);
  });

  afterAll(async () => {
    await dev?.stop();
    await folder?.remove();
  });

  it('writes the messages of a task, one a line, until it has ended', async () => {
    const run = await folder.run(['inspect', 'done-1', '--json']);
    expect(run.code).toBe(0);
    const frames = run.lines() as InspectionFrame[];
    expect(frames[0]).toMatchObject({ type: '@xstate.actor', sessionId: 'done-1', _version: '0.7.2' });
    expect(frames.at(-1)).toMatchObject({ snapshot: { value: 'completed' } });
    const own = (await folder.run(['inspect', 'done-1', '--json', '--format', 'engine', '--from', 'now'])).lines();
    expect(own).toMatchObject([{ type: '@xstate.actor', snapshot: { value: 'completed', context: { attempt: 1 } } }]);
  });

  it('ends with a dead letter, and with its time when the task goes on', async () => {
    await folder.run(['task', 'submit', 'failing', '--input', '{"n":2}', '--id', 'dead-1']);
    const dead = await folder.run(['inspect', 'dead-1', '--json', '--timeout', '30s']);
    expect(dead).toMatchObject({ code: 0 });
    expect(dead.lines().at(-1)).toMatchObject({ snapshot: { value: { deadLettered: 'publish' } } });
    await folder.run(['task', 'submit', 'gated', '--input', '{"gate":"wait-9"}', '--id', 'live-1']);
    const late = await folder.run(['inspect', 'live-1', '--json', '--timeout', '1s']);
    expect(late.stderr).toContain('DEADLINE_EXCEEDED');
    expect(late.code).not.toBe(0);
  });

  it('serves one task on loopback to whoever has the key, and ends when the task has ended and the viewer left', async () => {
    const child = folder.spawn(['inspect', 'live-1']);
    let printed = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (printed += text));
    await until('the link is printed', () => printed.includes('\n'));
    const link = new URL(printed.trim());
    expect(link.hostname).toBe('127.0.0.1');
    const key = new URLSearchParams(link.hash.slice(1)).get('key') ?? '';
    const at = (path: string): string => `ws://${link.host}/api/inspect/${path}`;
    expect(await new TestViewer(at('live-1?key=wrong')).opened).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
    expect(await new TestViewer(at('live-1')).opened).toMatchObject({ status: 401 });
    expect(await new TestViewer(at(`done-1?key=${key}`)).opened).toMatchObject({ status: 404, code: 'NOT_FOUND' });
    const foreign = { headers: { origin: 'https://stately.ai' } };
    expect(await new TestViewer(at(`live-1?key=${key}`), foreign).opened).toMatchObject({ code: 'ORIGIN_REFUSED' });
    const other = { headers: { host: 'evil.example' } };
    expect(await new TestViewer(at(`live-1?key=${key}`), other).opened).toMatchObject({ code: 'HOST_REFUSED' });

    const viewer = new TestViewer(at(`live-1?key=${key}&format=engine`));
    await viewer.until((frames) => frames.some(({ snapshot }) => stateOf(snapshot) === 'hold.running'));
    await folder.write('wait-9', '');
    await viewer.until((frames) => frames.some(({ snapshot }) => stateOf(snapshot) === 'completed'), 30_000);
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    viewer.leave();
    expect(await ended).toBe(0);
  });

  it('TASK_NOT_FOUND and INVALID_TASK_ID: exit with an error and no link', async () => {
    expect((await folder.run(['inspect', 'nobody'])).stderr).toContain('TASK_NOT_FOUND');
    expect((await folder.run(['inspect', 'nobody', '--json'])).stderr).toContain('TASK_NOT_FOUND');
    expect((await folder.run(['inspect', 'a.b'])).stderr).toContain('INVALID_TASK_ID');
    const wrong = await folder.run(['inspect', 'done-1', '--speed', '3']);
    expect(wrong.stderr).toContain('--speed');
    expect(wrong.code).toBe(2);
  });
});

function isEnd(event: StatelyInspectionEvent | undefined): boolean {
  return event?.type === '@xstate.snapshot' && stateOf(event.snapshot) === 'completed';
}

function stateOf(snapshot: unknown): string {
  const value = (snapshot as { readonly value?: unknown } | undefined)?.value;
  return typeof value === 'string'
    ? value
    : Object.entries(value ?? {})
        .flat()
        .join('.');
}
