import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LiveServer } from '../../src/admin/live/live-server.ts';
import type { LiveMessage } from '../../src/admin/live/protocol.ts';
import { assembleCommit, encodeRecord } from '../../src/core/commit-codec.ts';
import type { Epoch, Sequence, ShardId } from '../../src/core/ids.ts';
import { eventsOfEntry, type PipelineEvent } from '../../src/projections/cloud-event.ts';
import { comparePositions, type Position } from '../../src/projections/position.ts';
import type { NatsJournal } from '../../src/store/nats-journal.ts';
import { MemoryDocumentStore } from '../../src/store/memory-documents.ts';
import { startAdminWorld, type AdminWorld } from '../support/admin-kit.ts';
import { submitted } from '../support/array-journal.ts';
import { framesOf, openSocket, SocketReader } from '../support/live-clients.ts';
import { startNats } from '../support/nats-server.ts';
import { NatsWorld } from '../support/nats-world.ts';

const namespace = 'live';
const shards = 4;
/** Commits a second and shard, records a commit, and events a record: 2,400 events a second. */
const commitsPerSecond = 5;
const recordsPerCommit = 60;
const burstSeconds = 6;
const maximumBytes = 256 * 1024;

describe('50 clients of the socket under load, with a restart in the middle', () => {
  let nats: NatsWorld;
  let writer: NatsJournal;
  let reading: NatsJournal;
  let world: AdminWorld;
  let live: LiveServer;
  let token = '';
  const documents = new MemoryDocumentStore();
  const lastOf = new Map<number, Sequence>();
  let taskCount = 0;

  async function open(): Promise<void> {
    world = await startAdminWorld({
      documents,
      onUpgrade: (access, parts) => {
        const limits = { maximumBytes, closeMs: 20_000, maximumConnectionsPerPrincipal: 100 };
        live = new LiveServer({ ...parts, access, journal: reading, namespace, limits });
        return live.handleUpgrade;
      },
    });
  }

  async function commit(shard: number): Promise<void> {
    const records = Array.from({ length: recordsPerCommit }, () => submitted(`t-${(taskCount += 1)}`));
    const head = { format: 1 as const, epoch: 1 as Epoch, batch: 1, at: Date.now() };
    const expectedLast = lastOf.get(shard) ?? (0 as Sequence);
    const outcome = await writer.append({
      shard: shard as ShardId,
      body: assembleCommit(head, records.map(encodeRecord)),
      expectedLast,
      messageId: `${shard}-${taskCount}`,
    });
    if (outcome.kind !== 'committed') throw new Error(`an append came to ${outcome.kind}`);
    lastOf.set(shard, outcome.sequence);
  }

  /** Commits at a steady pace, however long one takes. */
  async function burst(seconds: number): Promise<void> {
    const beginAtMs = performance.now();
    await Promise.all(
      Array.from({ length: shards }, async (_, shard) => {
        for (let count = 0; count < seconds * commitsPerSecond; count += 1) {
          const dueInMs = beginAtMs + (count * 1_000) / commitsPerSecond - performance.now();
          if (dueInMs > 0) await new Promise((resolve) => setTimeout(resolve, dueInMs));
          await commit(shard);
        }
      }),
    );
  }

  /** All events that the journal has. */
  async function wholeLog(): Promise<readonly PipelineEvent[]> {
    const { last } = await writer.bounds();
    const stop = new AbortController();
    const events: PipelineEvent[] = [];
    for await (const entry of writer.follow({ after: 0 as Sequence, signal: stop.signal })) {
      events.push(...eventsOfEntry(entry, namespace));
      if (entry.sequence >= last) break;
    }
    stop.abort();
    return events;
  }

  beforeAll(async () => {
    nats = new NatsWorld(await startNats(), 1);
    writer = await nats.journal(namespace);
    reading = await nats.journal(namespace);
    for (let round = 0; round < 4; round += 1) for (let shard = 0; shard < shards; shard += 1) await commit(shard);
    await open();
    token = world.tokens.admin;
  });

  afterAll(async () => {
    await live?.stop();
    await world?.stop();
    await nats?.stop();
  });

  it('I54: tells who resumes from elsewhere RESUME_INVALID, and from what is trimmed RESUME_TOO_OLD with what is left', async () => {
    const { last } = await writer.bounds();
    for (let shard = 0; shard < shards; shard += 1)
      await writer.trim(shard as ShardId, (shards + shard + 1) as Sequence);
    const { first } = await writer.bounds();
    expect(first).toBeGreaterThan(shards);
    const socket = openSocket(world.admin.port, { token });
    const frames = framesOf(socket);
    const places = {
      future: `${last + 1_000}-1-1`,
      foreign: `${last}-${recordsPerCommit + 1}-1`,
      foreignOld: `${first}-${recordsPerCommit}-3`,
      negative: '-1-1-1',
      word: 'latest',
      empty: '',
      number: '7',
      trimmed: '1-1-1',
    };
    await new Promise((resolve) => socket.once('open', resolve));
    for (const [id, resumeFrom] of Object.entries(places)) {
      socket.send(JSON.stringify({ type: 'subscribe', id, topic: 'events', resumeFrom } satisfies LiveMessage));
    }
    await vi.waitFor(() => expect(frames.filter(({ type }) => type === 'error')).toHaveLength(8), { timeout: 10_000 });
    const codes = Object.fromEntries(
      frames.flatMap((frame) => (frame.type === 'error' ? [[frame.id ?? '', frame.code]] : [])),
    );
    expect(codes).toEqual({
      ...Object.fromEntries(Object.keys(places).map((id) => [id, 'RESUME_INVALID'])),
      trimmed: 'RESUME_TOO_OLD',
    });
    expect(frames).toContainEqual(expect.objectContaining({ id: 'trimmed', oldest: `${first}-0-0` }));
    expect(frames.some(({ type }) => type === 'resumed' || type === 'delta')).toBe(false);
    socket.terminate();
  });

  it('I53, I54, I55: no gap and no repeat for any of them; slow ones are closed as SLOW_CONSUMER and resume; memory stays bounded', async () => {
    const all = Array.from({ length: 50 }, () => new SocketReader());
    const kinds = {
      steady: all.slice(0, 30),
      restless: all.slice(30, 40),
      slow: all.slice(40, 44),
      stuck: all.slice(44, 48),
      // These resume from a place that is trimmed, and go on from the oldest that is left.
      old: all.slice(48),
    };
    for (const { reader } of kinds.old) {
      reader.begin = '1-1-1' as Position;
      reader.subscription = { ...reader.subscription, position: '1-1-1' };
    }
    const comeAll = (): void => {
      for (const one of all) {
        // An error has ended the subscription and named a place: the honest client comes again from there.
        if (one.reader.subscription.phase === 'ended') one.drop();
        one.come(world.admin.port, token);
      }
    };
    for (const one of [...kinds.slow, ...kinds.stuck]) one.extraSubscriptions = 10;
    let isHolding = false;
    let restlessCount = 0;
    let widestBytes = 0;
    const chance = (): number => (restlessCount = (restlessCount * 16_807 + 11) % 2_147_483_647) / 2_147_483_647;
    const tick = setInterval(() => {
      comeAll();
      widestBytes = Math.max(widestBytes, live.waitingBytes);
      for (const one of kinds.restless) if (chance() < 0.04) one.drop();
      for (const one of isHolding ? kinds.stuck : []) one.hold();
      // A little now and then.
      for (const one of isHolding ? kinds.slow : []) {
        if (chance() < 0.1) one.release();
        else one.hold();
      }
    }, 50);
    comeAll();
    await vi.waitFor(() => expect(all.every(({ reader }) => reader.begin !== null)).toBe(true), { timeout: 10_000 });
    isHolding = true;
    await burst(burstSeconds / 2);
    // The server goes and comes again, elsewhere, with nothing in memory.
    await live.stop();
    await world.stop();
    await open();
    await burst(burstSeconds / 2);
    isHolding = false;
    for (const one of all) one.release();
    const log = await wholeLog();
    const last = log.at(-1)?.id as Position;
    await vi.waitFor(
      () => {
        for (const { reader } of all) {
          expect(comparePositions((reader.position ?? '0-0-0') as Position, last)).toBeGreaterThanOrEqual(0);
        }
      },
      { timeout: 20_000, interval: 100 },
    );
    clearInterval(tick);
    const closes = [...kinds.stuck, ...kinds.slow].flatMap((one) => one.closes.map(({ reason }) => reason));
    for (const one of all) one.drop();
    for (const one of all) {
      expect(one.fault).toBeNull();
      expect(one.reader.events.map(({ id }) => id)).toEqual(one.reader.expected(log));
    }
    for (const { reader } of kinds.old) expect(reader.gaps.length).toBeGreaterThan(0);
    for (const { reader } of [...kinds.steady, ...kinds.restless, ...kinds.slow, ...kinds.stuck]) {
      expect(reader.gaps).toEqual([]);
    }
    expect(closes).toContain('SLOW_CONSUMER');
    // Beside the bound one frame may wait, which was the one too many.
    expect(widestBytes).toBeLessThan(all.length * (maximumBytes + 192 * 1024));
  });
});
