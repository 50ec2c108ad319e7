import { describe, expect, it } from 'vitest';

import { createClient, type Client } from '../../../src/client.ts';
import { contentHash } from '../../../src/core/hash.ts';
import { decodeCommit } from '../../../src/core/commit-codec.ts';
import { EngineError } from '../../../src/core/errors.ts';
import type { TaskId } from '../../../src/core/ids.ts';
import type { ShardLock } from '../../../src/ports/leases.ts';
import { SeededRandom, type JournalFault } from '../../../src/testing.ts';
import { ClusterWorld } from '../../support/cluster-world.ts';
import { counter, HistoryLog } from './history-log.ts';
import { checkEachKey, type Verdict } from './linearizability.ts';
import {
  freeLock,
  lockModel,
  stageModel,
  taskIdModel,
  type LockAnswer,
  type LockInput,
  type StageAnswer,
  type StageInput,
  type SubmitAnswer,
  type SubmitInput,
} from './sequential-models.ts';

const seeds = Number(process.env['MODEL_SEEDS'] ?? 12);
const firstSeed = Number(process.env['MODEL_FIRST_SEED'] ?? 1);
const stages = ['parse', 'publish'] as const;
const idCount = 8;
const clientCount = 3;
/** In which all that goes wrong begins. */
const troubleMs = 20_000;

/** What clients and stores have seen of one cluster while its nodes came and went. */
class RecordedCluster {
  readonly world: ClusterWorld;
  readonly submits: HistoryLog<SubmitInput, SubmitAnswer>;
  readonly stages: HistoryLog<StageInput, StageAnswer>;
  readonly locks: HistoryLog<LockInput, LockAnswer>;
  readonly #random: SeededRandom;
  readonly #clients: readonly Client[];
  readonly #tick = counter();
  readonly #open = new Set<Promise<void>>();

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    const journal = { faults: () => this.#fault(), replicas: seed % 2 === 0 ? 1 : 3 } as const;
    this.world = new ClusterWorld({ shardCount: 2 }, { seed, journal });
    this.submits = new HistoryLog(this.#tick);
    this.stages = new HistoryLog(this.#tick);
    this.locks = new HistoryLog(this.#tick);
    this.#clients = Array.from({ length: clientCount }, () => this.#newClient());
    this.#watchJournal();
    this.#watchLocks();
  }

  /** Submits of the same few ids by several clients at once, looks at them, and nodes that come and go meanwhile. */
  async run(): Promise<void> {
    await this.world.startAll('n-1', 'n-2', 'n-3');
    for (let id = 0; id < idCount; id += 1) this.#race(`t-${id}`);
    this.#trouble();
    await this.world.until(() => this.#open.size === 0, 300_000);
  }

  #race(taskId: string): void {
    const startMs = this.#upTo(troubleMs);
    const submitCount = 2 + this.#upTo(8);
    for (let submit = 0; submit < submitCount; submit += 1) {
      const client = this.#clients[submit % clientCount] as Client;
      const input = this.#random.next() < 0.7 ? 'a' : 'b';
      this.#at(startMs + (this.#random.next() < 0.5 ? 0 : this.#upTo(3_000)), () =>
        this.#submit(client, taskId, input),
      );
    }
    for (let look = 0; look < 20; look += 1) {
      const client = this.#clients[this.#upTo(clientCount)] as Client;
      this.#at(startMs + this.#upTo(8_000), () => this.#look(client, taskId));
    }
  }

  #submit(client: Client, taskId: string, input: string): Promise<void> {
    return this.submits.record(
      { taskId, inputHash: input },
      () => client.submit(this.world.pipeline, input, { taskId }),
      { result: ({ kind }) => kind, error: (thrown) => (codeOf(thrown) === 'TASK_CONFLICT' ? 'conflict' : null) },
    );
  }

  async #look(client: Client, taskId: string): Promise<void> {
    const invokedAt = this.#tick();
    const done = await client.get(taskId as TaskId).then(
      (view) => new Set(view.stages.filter(({ status }) => status === 'completed').map(({ stage }) => String(stage))),
      (thrown: unknown) => (codeOf(thrown) === 'TASK_NOT_FOUND' ? new Set<string>() : null),
    );
    const returnedAt = this.#tick();
    for (const stage of stages) {
      const output = done === null ? null : done.has(stage) ? 'done' : 'notDone';
      this.stages.add({ input: { kind: 'look', stage: `${taskId}/${stage}` }, output, invokedAt, returnedAt });
    }
  }

  #trouble(): void {
    const { world } = this;
    const strikes = 2 + this.#upTo(3);
    for (let strike = 0; strike < strikes; strike += 1) {
      const nodeId = `n-${4 + strike}`;
      this.#at(this.#upTo(troubleMs), async () => {
        const victim = world.running[this.#upTo(world.running.length)];
        if (victim === undefined || world.running.length < 2) return;
        if (this.#random.next() < 0.5) await victim.kill();
        else await victim.stop(this.#upTo(200));
        if (this.#random.next() < 0.5) victim.tellExited();
        await world.begin(nodeId);
      });
    }
  }

  #at(delayMs: number, run: () => Promise<void>): void {
    const started = new Promise<void>((resolve) => void this.world.test.clock.setTimer(delayMs, resolve));
    const ended = started.then(run).finally(() => this.#open.delete(ended));
    this.#open.add(ended);
  }

  #upTo(bound: number): number {
    return Math.floor(this.#random.next() * bound);
  }

  #fault(): JournalFault {
    const chance = this.#random.next();
    if (chance > 0.12) return 'none';
    return (['lostAck', 'late', 'lostRequest', 'duplicateAck', 'busy'] as const)[this.#upTo(5)] ?? 'none';
  }

  #newClient(): Client {
    const { bus, clock, random, journal, blobs, leases, config } = this.world.test;
    const { namespace, shardCount } = config;
    return createClient({ bus, clock, random, namespace, shardCount, journal, blobs, leases, deadlineMs: 20_000 });
  }

  /** Each completed stage is a commit of its own register. When the owner learns of it is its own business: it returns last. */
  #watchJournal(): void {
    const { journal } = this.world.test;
    const append = journal.append.bind(journal);
    journal.append = async (request) => {
      const invokedAt = this.#tick();
      const outcome = await append(request);
      // A conflict leaves open whether an earlier try, or the same one on its first arrival, was stored.
      const output = outcome.kind === 'committed' ? 'committed' : outcome.kind === 'busy' ? 'refused' : null;
      for (const { task, event } of decodeCommit(request.body).records) {
        if (event.type !== 'stage.completed') continue;
        const input = { kind: 'commit', stage: `${task}/${event.stage}`, commitId: request.messageId } as const;
        this.stages.add({ input, output, invokedAt, returnedAt: Number.MAX_SAFE_INTEGER });
      }
      return outcome;
    };
  }

  #watchLocks(): void {
    const { leases } = this.world.test;
    const read = leases.readShard.bind(leases);
    const write = leases.writeShard.bind(leases);
    leases.readShard = async (shard) => {
      const invokedAt = this.#tick();
      const lock = await read(shard);
      const output = { kind: 'read', value: textOf(lock), revision: lock.revision } as const;
      this.locks.add({ input: { kind: 'read', shard }, output, invokedAt, returnedAt: this.#tick() });
      return lock;
    };
    leases.writeShard = async (lock, expectedRevision) => {
      const invokedAt = this.#tick();
      const output = await write(lock, expectedRevision);
      const input = { kind: 'write', shard: lock.shard, value: textOf(lock), expectedRevision } as const;
      this.locks.add({ input, output, invokedAt, returnedAt: this.#tick() });
      return output;
    };
  }
}

function textOf({ owner, epoch }: Omit<ShardLock, 'revision'>): string {
  return owner === null && epoch === 0 ? freeLock : `${epoch} ${owner?.nodeId ?? 'nobody'} ${owner?.incarnation ?? ''}`;
}

function codeOf(thrown: unknown): string {
  return thrown instanceof EngineError ? thrown.code : 'INTERNAL';
}

/** What is wrong, in a form that a person can read; empty when nothing is. */
function violations<Input, Output>(verdicts: ReadonlyMap<string, Verdict<Input, Output>>): string[] {
  return [...verdicts].flatMap(([key, verdict]) =>
    verdict.kind === 'linearizable'
      ? []
      : [`${key}: ${JSON.stringify(verdict.longest)} and then ${JSON.stringify(verdict.next)}`],
  );
}

describe('histories of clusters whose nodes come and go', () => {
  it('R-IDEM-1 R-IDEM-2 R-LOCK-1: ids are created once, stages are committed once, locks have one holder: every history is linearizable', async () => {
    const figures = { submits: 0, stages: 0, locks: 0, unknown: 0, accepted: 0, conflicts: 0 };
    for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
      const cluster = new RecordedCluster(seed);
      await cluster.run();
      const { submits, stages: commits, locks, world } = cluster;
      const found = [
        ...violations(checkEachKey(taskIdModel, submits.operations, ({ taskId }) => taskId)),
        ...violations(checkEachKey(stageModel, commits.operations, ({ stage }) => stage)),
        ...violations(checkEachKey(lockModel, locks.operations, ({ shard }) => String(shard))),
      ];
      // What the journal holds is what the winner sent.
      const report = await world.report();
      for (const { input, output } of submits.operations) {
        if (output !== 'accepted' && output !== 'existing') continue;
        if (report.tasks.get(input.taskId as TaskId)?.inputHash === contentHash(input.inputHash)) continue;
        found.push(`${input.taskId} does not have the input of the submit that was told ${output}`);
      }
      expect([...found, ...report.violations], `seed ${seed}`).toEqual([]);
      figures.submits += submits.operations.length;
      figures.stages += commits.operations.length;
      figures.locks += locks.operations.length;
      figures.unknown += [...submits.operations, ...commits.operations].filter(({ output }) => output === null).length;
      figures.accepted += submits.operations.filter(({ output }) => output === 'accepted').length;
      figures.conflicts += submits.operations.filter(({ output }) => output === 'conflict').length;
      await world.stop();
    }
    process.stdout.write(`${seeds} histories: ${JSON.stringify(figures)}\n`);
    expect(Math.min(...Object.values(figures))).toBeGreaterThan(0);
  }, 300_000);
});
