import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { Packr } from 'msgpackr';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeSnapshot, encodeSnapshot } from '../../../src/actors/snapshot-codec.ts';
import { AccessTokens } from '../../../src/admin/access-tokens.ts';
import { BulkStore } from '../../../src/admin/bulk/bulk-store.ts';
import { bulkPaceDefaults, newBulkRun } from '../../../src/admin/bulk/bulk-run.ts';
import { assembleCommit, decodeCommit, encodeRecord } from '../../../src/core/commit-codec.ts';
import type { ErrorCode } from '../../../src/core/errors.ts';
import { decodeNodeCommand, decodeNodeLife, decodeNodeReply } from '../../../src/core/node-messages.ts';
import type { Epoch, NodeId, Sequence, ShardId, TaskId } from '../../../src/core/ids.ts';
import type { JsonValue } from '../../../src/core/json.ts';
import { decodeReply, decodeRequest, requestShapes } from '../../../src/drivers/remote-protocol.ts';
import { fromWireError } from '../../../src/drivers/wire-error.ts';
import { PipelineRegistry } from '../../../src/pipeline/registry.ts';
import { FileDocumentStore } from '../../../src/platform/file-documents.ts';
import { SystemClock } from '../../../src/platform/system-clock.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import {
  ChainWalk,
  decodeRecord,
  encodeRecord as encodeAuditRecord,
  firstPreviousHash,
} from '../../../src/store/audit-chain.ts';
import type { AuditEntry } from '../../../src/ports/audit-log.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../../src/store/checkpoint-codec.ts';
import { decodeNodeLease, decodeShardLock, encodeNodeLease, encodeShardLock } from '../../../src/store/lease-codec.ts';
import { MemoryDocumentStore } from '../../../src/store/memory-documents.ts';
import { decodeOrders, encodeOrders } from '../../../src/store/orders-codec.ts';
import { decodePosition, encodePosition } from '../../../src/store/projection-keys.ts';
import { TaskDatabase, UnusableIndexFile } from '../../../src/store/task-database.ts';
import { a, aTask, listingPipeline } from '../../support/a-task.ts';
import { CountingSecrets } from '../../support/admin-kit.ts';
import { aRecord, anOrigin } from '../../support/array-journal.ts';
import { readState } from '../../../src/platform/embedded-nats-state.ts';
import { anyJsonValue, anyValue, expectGoodError, mutations } from './awkward-values.ts';

const packr = new Packr({ useRecords: false, variableMapSize: true });
const taskId = 't-1' as TaskId;
const shard = 3 as ShardId;
const nodeId = 'n-1' as NodeId;
const registry = new PipelineRegistry([listingPipeline]);
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value) ?? 'null');

const auditEntry = {
  at: 1,
  principal: 'anna',
  role: 'admin',
  address: '::1',
  action: 'task.cancel',
  target: 't-1',
  outcome: 'done',
  requestId: 'r-1',
} as unknown as AuditEntry;

function aSnapshot(): Uint8Array {
  const task = aTask().running('photos', { attempt: 2 });
  task.send(a.checkpoint('photos', 2, 'photo-1', { url: 'x' }));
  task.send(a.failing('photos', 2));
  return encodeSnapshot(task.known);
}

const status = {
  nodeId,
  incarnation: 'i-1',
  capacity: 1,
  draining: false,
  cordoned: false,
  leaseIsGood: true,
  owned: 1,
  handingOver: 0,
  failing: 0,
  loopLagMs: 0,
};
const stageRequest = {
  protocol: 1,
  taskId: 't-1',
  pipeline: 'card',
  version: 1,
  stage: 'print',
  attempt: 1,
  fence: { shard: 0, epoch: 1, sequence: 1 },
  idempotencyKey: 'k',
  input: 1,
  outputs: {},
  checkpoints: [],
};

/** One kind of stored or sent bytes: good ones, who reads them, and the codes that bad ones may get. */
interface Stored {
  readonly name: string;
  readonly good: Uint8Array;
  readonly read: (bytes: Uint8Array) => unknown;
  readonly codes: readonly ErrorCode[];
  /** How a value is written. */
  readonly write: (value: unknown) => Uint8Array;
}

const kinds: readonly Stored[] = [
  {
    name: 'a journal record',
    good: assembleCommit({ format: 1, epoch: 7 as Epoch, batch: 3, at: 1_700_000_000_000 }, [
      encodeRecord(aRecord('t-1', 1, { type: 'task.canceled', origin: anOrigin }, 'canceled')),
    ]),
    read: decodeCommit,
    codes: ['RECORD_CORRUPT'],
    write: (value) => packr.pack(value),
  },
  {
    name: 'row 88, 89: a snapshot',
    good: aSnapshot(),
    read: (bytes) => decodeSnapshot(taskId, bytes, registry),
    codes: ['RECORD_CORRUPT', 'PIPELINE_UNKNOWN', 'PIPELINE_VERSION_UNKNOWN'],
    write: (value) => packr.pack(value),
  },
  {
    name: 'a checkpoint',
    good: encodeCheckpoint({ shard, epoch: 2 as Epoch, sequence: 9 as Sequence }),
    read: (bytes) => decodeCheckpoint(shard, bytes),
    codes: ['RECORD_CORRUPT'],
    write: json,
  },
  {
    name: 'a node’s lease',
    good: encodeNodeLease({
      nodeId,
      incarnation: 'i',
      startedAt: 1,
      draining: false,
      capacity: 1,
      cordoned: false,
      declines: [shard],
    }),
    read: decodeNodeLease,
    codes: ['RECORD_CORRUPT'],
    write: json,
  },
  {
    name: 'a shard’s lock',
    good: encodeShardLock({ shard, owner: { nodeId, incarnation: 'i' }, epoch: 4 as Epoch }),
    read: (bytes) => decodeShardLock(shard, 1, bytes),
    codes: ['RECORD_CORRUPT'],
    write: json,
  },
  {
    name: 'the orders',
    good: encodeOrders({ nodes: new Map([[nodeId, 'cordoned']]), pins: new Map([[shard, nodeId]]) }),
    read: decodeOrders,
    codes: ['RECORD_CORRUPT'],
    write: json,
  },
  {
    name: 'an audit record',
    good: encodeAuditRecord(auditEntry, firstPreviousHash).body,
    read: (bytes) => decodeRecord(1, bytes),
    codes: ['RECORD_CORRUPT'],
    write: json,
  },
  {
    name: 'a projection’s position',
    good: encodePosition('1-1-1'),
    read: (bytes) => decodePosition('k', bytes),
    codes: ['RECORD_CORRUPT'],
    write: json,
  },
  {
    name: 'a node’s status',
    good: json({ kind: 'status', status }),
    read: decodeNodeReply,
    codes: ['INVALID_MESSAGE', 'INVALID_ARGUMENT', 'PAYLOAD_TOO_LARGE', 'UNSERIALIZABLE'],
    write: json,
  },
  {
    name: 'a node’s error',
    good: json({ kind: 'error', error: { code: 'NOT_ALLOWED', message: 'no' } }),
    read: decodeNodeReply,
    codes: ['INVALID_MESSAGE', 'INVALID_ARGUMENT', 'PAYLOAD_TOO_LARGE', 'UNSERIALIZABLE'],
    write: json,
  },
  {
    name: 'a question to a node',
    good: json({ type: 'node.status' }),
    read: decodeNodeCommand,
    codes: ['INVALID_MESSAGE', 'INVALID_ARGUMENT', 'PAYLOAD_TOO_LARGE', 'UNSERIALIZABLE', 'UNSUPPORTED_VERSION'],
    write: json,
  },
  {
    name: 'a notice of a node',
    good: json({ nodeId, incarnation: 'i' }),
    read: decodeNodeLife,
    codes: ['INVALID_MESSAGE', 'INVALID_ARGUMENT', 'PAYLOAD_TOO_LARGE', 'UNSERIALIZABLE'],
    write: json,
  },
  {
    name: 'a start of a remote run',
    good: json(stageRequest),
    read: (bytes) => decodeRequest(bytes, requestShapes.start),
    codes: ['INVALID_MESSAGE'],
    write: json,
  },
  {
    name: 'the answer of a remote driver',
    good: json({
      status: 'failed',
      error: { class: 'fatal', message: 'x' },
      messages: [{ number: 1, message: { type: 'heartbeat' } }],
    }),
    read: decodeReply,
    codes: ['INVALID_MESSAGE'],
    write: json,
  },
];

describe.each(kinds)('$name', ({ good, read, codes, write }) => {
  const tryOne = (bytes: Uint8Array): boolean => {
    try {
      read(bytes);
      return true;
    } catch (thrown) {
      expect(codes).toContain(expectGoodError(thrown).code);
      return false;
    }
  };

  it(`${codes.join(', ')}: of no length but its own, and with no bit turned, is anything else`, () => {
    read(good);
    for (let length = 0; length < good.length; length += 1) tryOne(good.subarray(0, length));
    tryOne(Buffer.concat([good, Buffer.from([0x00])]));
    let refusedCount = 0;
    for (let bit = 0; bit < good.length * 8; bit += 1) {
      const turned = Buffer.from(good);
      turned[bit >> 3] = (turned[bit >> 3] as number) ^ (1 << (bit & 7));
      if (!tryOne(turned)) refusedCount += 1;
    }
    expect(refusedCount).toBeGreaterThan(good.length / 4);
  });

  it(`${codes.join(', ')}: is read or refused, whatever it or one of its parts is`, () => {
    const value = (write === json ? JSON.parse(Buffer.from(good).toString()) : packr.unpack(good)) as unknown;
    const parts = typeof value === 'object' && value !== null ? value : {};
    fc.assert(
      fc.property(fc.oneof(anyJsonValue, anyValue), fc.nat(60), (odd, pick) => {
        const changed = mutations(parts, () => odd);
        const [, document] = changed[pick % Math.max(1, changed.length)] ?? ['', odd];
        let bytes: Uint8Array;
        try {
          bytes = write(pick % 7 === 0 ? odd : document);
        } catch {
          return; // No word for it in this encoding.
        }
        tryOne(bytes);
      }),
      { numRuns: 400 },
    );
  });
});

describe('the audit log’s chain', () => {
  it('is broken, not the walk over it, whatever a record holds', () => {
    fc.assert(
      fc.property(anyJsonValue, fc.boolean(), (odd, isEntry) => {
        const record = isEntry ? { format: 1, previous: firstPreviousHash, hash: 'x', entry: odd } : odd;
        expect(new ChainWalk().take(1, json(record))).toMatchObject({ kind: 'broken', position: 1 });
      }),
      { numRuns: 400 },
    );
  });
});

describe('the error of a remote driver', () => {
  it('is an Error, whatever it is', () => {
    fc.assert(
      fc.property(fc.oneof(anyJsonValue, anyValue), (odd) => {
        expect(fromWireError(odd)).toBeInstanceOf(Error);
        expect(
          fromWireError({ class: 'rateLimited', message: odd, code: odd, retryAfterMs: odd, cause: odd }),
        ).toBeInstanceOf(Error);
      }),
    );
  });
});

/** A bulk run at its start. */
function aBulkRun(): object {
  const run = {
    id: 'b-1',
    action: 'redrive',
    filter: {},
    reason: 'r',
    by: 'anna',
    createdAt: 1,
    pace: bulkPaceDefaults,
  } as const;
  return newBulkRun(run);
}

describe('the documents of the admin server', () => {
  const token = {
    id: '0123456789abcdef',
    name: 'a',
    role: 'admin',
    hash: 'f'.repeat(64),
    createdAt: 1,
    expiresAt: null,
  };
  const openTokens = (document: JsonValue): Promise<unknown> => {
    const documents = new MemoryDocumentStore();
    const tokens = new AccessTokens({
      documents,
      clock: new SystemClock(),
      secrets: new CountingSecrets(),
      logger: new MemoryLogger(),
    } as never);
    return documents.put('access-tokens', document).then(() => tokens.open());
  };

  it('RECORD_CORRUPT: tokens that are damaged stop the start, whatever they are, and never make a new first admin', async () => {
    await fc.assert(
      fc.asyncProperty(anyJsonValue, fc.nat(20), async (odd, pick) => {
        const changed = mutations(token, () => odd);
        const [, one] = changed[pick % changed.length] ?? ['', token];
        for (const document of [odd, { tokens: odd }, { tokens: [one] }]) {
          if (document === null) continue; // None at all: the first start.
          try {
            expect(await openTokens(document as JsonValue)).toBeNull();
          } catch (thrown) {
            expect(expectGoodError(thrown).code).toBe('RECORD_CORRUPT');
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('RECORD_CORRUPT: a run without one of its parts is told, and not only when that part is needed', async () => {
    const documents = new MemoryDocumentStore();
    await documents.put('bulk-run-b-1', aBulkRun() as JsonValue);
    expect(await new BulkStore(documents).load()).toEqual([aBulkRun()]);
    for (const name of Object.keys(aBulkRun()).filter((one) => one !== 'format')) {
      const { [name]: _part, ...rest } = aBulkRun() as Readonly<Record<string, JsonValue>>;
      await documents.put('bulk-run-b-1', rest);
      await expect(new BulkStore(documents).load(), name).rejects.toMatchObject({ code: 'RECORD_CORRUPT' });
    }
  });

  it('RECORD_CORRUPT: runs that are damaged are told, whatever they are', async () => {
    const run = aBulkRun();
    await fc.assert(
      fc.asyncProperty(anyJsonValue, fc.nat(60), async (odd, pick) => {
        const changed = mutations(run, () => odd);
        const documents = new MemoryDocumentStore();
        await documents.put('bulk-run-b-1', (changed[pick % changed.length]?.[1] ?? odd) as JsonValue);
        try {
          await new BulkStore(documents).load();
        } catch (thrown) {
          expect(expectGoodError(thrown).code).toBe('RECORD_CORRUPT');
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('files', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cabinet-stored-'));
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each<[string, string | Uint8Array]>([
    ['empty', ''],
    ['cut', '{"a":'],
    ['of binary', Uint8Array.of(0, 255, 1)],
    ['with something behind', '{} {}'],
  ])('RECORD_CORRUPT: a document that is %s is told with its file, and the others stay', async (_name, bytes) => {
    const store = new FileDocumentStore(folder);
    await store.put('good', { n: 1 });
    await writeFile(join(folder, 'bad.json'), bytes);
    await expect(store.get('bad')).rejects.toMatchObject({ code: 'RECORD_CORRUPT', field: join(folder, 'bad.json') });
    expect(await store.get('good')).toEqual({ n: 1 });
  });

  it('UNAVAILABLE: a folder in the place of a document is told', async () => {
    await mkdir(join(folder, 'folder.json'), { recursive: true });
    await expect(new FileDocumentStore(folder).get('folder')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('the state of an own NATS server that cannot be read is as none', async () => {
    for (const text of [
      '',
      'null',
      '7',
      '[]',
      '{"pid":"1"}',
      '{"format":1,"pid":1e99}',
      '\u0000',
      '['.repeat(50_000),
    ]) {
      await writeFile(join(folder, 'nats.state.json'), text);
      expect(readState(folder)).toBeUndefined();
    }
  });

  it('an index file that is damaged is opened or found unusable, and is never anything else', async () => {
    const path = join(folder, 'index.db');
    new TaskDatabase(path).close();
    const good = await readFile(path);
    const cases: Uint8Array[] = [
      Buffer.alloc(0),
      Buffer.from('not a database'),
      Buffer.alloc(4_096),
      Buffer.alloc(4_096, 0xff),
    ];
    for (let length = 100; length < good.length; length += Math.ceil(good.length / 12))
      cases.push(good.subarray(0, length));
    for (let at = 0; at < 100; at += 3) {
      const turned = Buffer.from(good);
      turned[at] = (turned[at] as number) ^ 0x55;
      cases.push(turned);
    }
    let unusableCount = 0;
    for (const bytes of cases) {
      for (const rest of ['', '-wal', '-shm']) await rm(path + rest, { force: true });
      await writeFile(path, bytes);
      try {
        const database = new TaskDatabase(path);
        database.count({});
        database.close();
      } catch (thrown) {
        if (!(thrown instanceof UnusableIndexFile)) expectGoodError(thrown);
        unusableCount += 1;
      }
    }
    expect(unusableCount).toBeGreaterThan(10);
  });
});
