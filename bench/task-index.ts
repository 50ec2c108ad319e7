import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { assembleCommit, encodeRecord } from '../src/core/commit-codec.ts';
import type { Epoch, PipelineName, Sequence, ShardId, StageName, TaskId } from '../src/core/ids.ts';
import type { TaskEvent, TaskRecord } from '../src/core/records.ts';
import { MemoryLogger } from '../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../src/platform/memory-metrics.ts';
import { SeededRandom } from '../src/platform/seeded-random.ts';
import { SystemClock } from '../src/platform/system-clock.ts';
import type { Journal, JournalEntry } from '../src/ports/journal.ts';
import { taskSortFields, type TaskFilter } from '../src/ports/task-index.ts';
import { TaskProjector } from '../src/projections/task-projector.ts';
import { SqliteTaskIndex } from '../src/store/sqlite-task-index.ts';

// The task index alone, without NATS: how many records a second the projector takes (decoding, folding and storing them), and
// how long a page, a count and a group take over that many tasks, at rest and while records come in.

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '1000000' }, samples: { type: 'string', default: '40' } },
});
const rows = Number(values.rows);
const samples = Number(values.samples);
const shardCount = 16;
const tasksPerCommit = 20;
const random = new SeededRandom(7);
const startedAt = 1_700_000_000_000;
const pipelines = ['listing', 'card', 'import', 'export'] as unknown as readonly PipelineName[];
const stages = ['parse', 'photos', 'publish'] as unknown as readonly StageName[];

function below(limit: number): number {
  return Math.floor(random.next() * limit);
}

function taskId(number: number): TaskId {
  const time = (startedAt + number * 10).toString(16).padStart(12, '0');
  const rest = (number * 2_654_435_761).toString(16).padStart(15, '0').slice(-15);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${rest.slice(0, 3)}-8${rest.slice(3, 6)}-${rest.slice(3)}` as TaskId;
}

/** Four of five tasks complete, the others stand somewhere; one of twenty has failed. */
function historyOf(number: number): readonly TaskRecord[] {
  const pipeline = pipelines[number % pipelines.length] as PipelineName;
  const task = taskId(number);
  const records: TaskRecord[] = [];
  const add = (event: TaskEvent, to: string): void => {
    const seq = records.length + 1;
    records.push({ task, seq, at: startedAt + number * 10 + seq, event, to, pipeline, version: 1 + (number % 2) });
  };
  const [first = 'parse' as StageName] = stages;
  const origin = { commandId: `c-${number}` as never };
  const way = { next: first, skipped: [], start: true };
  const input = { json: { number } };
  add(
    { type: 'task.submitted', pipeline, version: 1, input, inputHash: 'a'.repeat(64), origin, ...way },
    `${first}.running`,
  );
  const fate = below(100);
  for (const [place, stage] of stages.entries()) {
    if (fate < 20 && below(3) === 0) {
      const failure = {
        class: 'retryable',
        code: 'HTTP_503',
        name: 'HttpError',
        message: `HTTP 503 of ${stage}`,
      } as const;
      if (fate < 5) {
        add(
          {
            type: 'stage.failed',
            stage,
            attempt: 1,
            failure,
            decision: { kind: 'deadLetter', reason: 'attemptsExhausted' },
          },
          `deadLettered.${stage}`,
        );
      }
      return records;
    }
    const next = stages[place + 1] ?? null;
    const to = next === null ? 'completed' : `${next}.running`;
    add(
      { type: 'stage.completed', stage, attempt: 1, output: { json: null }, next, skipped: [], start: next !== null },
      to,
    );
  }
  return records;
}

/** A journal that makes its entries when they are read, a window of live tasks at a time. */
class MadeJournal implements Journal {
  readonly maximumBodyBytes = 1_048_576;
  recordCount = 0;
  madeMs = 0;
  #sequence = 0;
  #last = Number.MAX_SAFE_INTEGER;
  readonly #from: number;
  readonly #through: number;

  constructor(from: number, through: number) {
    this.#from = from;
    this.#through = through;
  }

  async *follow({
    after,
    signal,
  }: {
    readonly after: Sequence;
    readonly signal: AbortSignal;
  }): AsyncGenerator<JournalEntry> {
    this.#sequence = after;
    for (let task = this.#from; task < this.#through && !signal.aborted; task += tasksPerCommit) {
      const begun = performance.now();
      const histories = Array.from({ length: Math.min(tasksPerCommit, this.#through - task) }, (_, index) =>
        historyOf(task + index),
      );
      const bodies: Uint8Array[] = [];
      for (let step = 0; step < 6; step += 1) {
        const records = histories.flatMap((history) => history[step] ?? []);
        if (records.length === 0) break;
        this.recordCount += records.length;
        const head = { format: 1 as const, epoch: 1 as Epoch, batch: 1, at: startedAt };
        bodies.push(assembleCommit(head, records.map(encodeRecord)));
      }
      this.madeMs += performance.now() - begun;
      for (const body of bodies) {
        this.#sequence += 1;
        yield {
          shard: ((task / tasksPerCommit) % shardCount) as ShardId,
          sequence: this.#sequence as Sequence,
          storedAt: 0,
          body,
        };
      }
    }
    this.#last = this.#sequence;
  }

  get last(): number {
    return this.#last;
  }

  async bounds(): Promise<{ first: Sequence; last: Sequence }> {
    return { first: 1 as Sequence, last: this.#sequence as Sequence };
  }

  append(): never {
    throw new Error('a projection appends nothing');
  }

  readLast(): never {
    throw new Error('not asked for');
  }

  read(): never {
    throw new Error('not asked for');
  }

  trim(): never {
    throw new Error('not asked for');
  }
}

const logger = new MemoryLogger();
const folder = mkdtempSync(join(tmpdir(), 'cabinet-bench-'));
const file = join(folder, 'tasks.db');
const index = await SqliteTaskIndex.open({ file, logger });

function project(journal: MadeJournal): TaskProjector {
  // Kept for ever: the tasks of this bench ended long ago.
  const finishedRetentionMs = Number.MAX_SAFE_INTEGER;
  const projector = new TaskProjector({
    journal,
    index,
    clock: new SystemClock(),
    logger,
    metrics: new MemoryMetrics(),
    finishedRetentionMs,
  });
  projector.start();
  return projector;
}

async function filled(journal: MadeJournal, projector: TaskProjector): Promise<void> {
  while (projector.status.sequence < journal.last) await new Promise((resolve) => setTimeout(resolve, 5));
  await projector.stop();
}

function quantile(sorted: readonly number[], part: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN).toFixed(1);
}

const questions: readonly (readonly [string, TaskFilter])[] = [
  ['no filter', {}],
  ['status running', { statuses: ['running'] }],
  ['status deadLettered', { statuses: ['deadLettered'] }],
  ['status completed, pipeline card', { statuses: ['completed'], pipelines: [pipelines[1] as PipelineName] }],
  ['pipeline card, stage photos', { pipelines: [pipelines[1] as PipelineName], stages: [stages[1] as StageName] }],
  ['shard 3', { shards: [3 as ShardId] }],
  ['failed retryable', { failureClasses: ['retryable'] }],
  ['updated within the last tenth', { updatedFrom: startedAt + rows * 9 }],
  ['dead letters of the first half', { statuses: ['deadLettered'], submittedBefore: startedAt + rows * 5 }],
  ['id prefix', { taskIdPrefix: taskId(Math.floor(rows / 2)).slice(0, 10) }],
];

interface Asked {
  readonly what: string;
  /** From question to answer, or the process's CPU in between. */
  readonly ms: readonly number[];
  readonly cpuMs: readonly number[];
}

async function ask(what: string, run: (sample: number) => Promise<unknown>): Promise<Asked> {
  const ms: number[] = [];
  const cpuMs: number[] = [];
  for (let sample = 0; sample < samples; sample += 1) {
    const begun = performance.now();
    const cpu = process.cpuUsage();
    await run(sample);
    ms.push(performance.now() - begun);
    const { user, system } = process.cpuUsage(cpu);
    cpuMs.push((user + system) / 1_000);
  }
  return { what, ms, cpuMs };
}

function print(what: string, asked: readonly Asked[]): void {
  const all = asked.flatMap(({ ms }) => ms).toSorted((a, b) => a - b);
  const cpu = asked.flatMap(({ cpuMs }) => cpuMs).toSorted((a, b) => a - b);
  const slowest = asked.reduce((worst, one) => (Math.max(...one.ms) > Math.max(...worst.ms) ? one : worst));
  console.log(
    `${what}: p50 ${quantile(all, 0.5)} ms, p95 ${quantile(all, 0.95)} ms, p99 ${quantile(all, 0.99)} ms, ` +
      `most ${quantile(all, 1)} ms (${slowest.what}); CPU p50 ${quantile(cpu, 0.5)} ms, p95 ${quantile(cpu, 0.95)} ms, most ${quantile(cpu, 1)} ms; ` +
      `${all.length} samples`,
  );
}

/** Pages in both directions, every other one a second page. */
async function pages(limit: number): Promise<readonly Asked[]> {
  const asked: Asked[] = [];
  for (const [what, filter] of questions) {
    for (const sortBy of taskSortFields) {
      const cursors = await Promise.all(
        [false, true].map(async (descending) => (await index.list({ filter, sortBy, descending, limit })).next),
      );
      const run = async (sample: number): Promise<void> => {
        const descending = sample % 2 === 1;
        const cursor = sample % 4 < 2 ? null : (cursors[sample % 2] ?? null);
        await index.list({ filter, sortBy, descending, limit, ...(cursor === null ? {} : { cursor }) });
      };
      asked.push(await ask(`${what}, by ${sortBy}`, run));
    }
  }
  return asked;
}

try {
  const loop = monitorEventLoopDelay({ resolution: 5 });
  loop.enable();
  const journal = new MadeJournal(0, rows);
  const begun = performance.now();
  await filled(journal, project(journal));
  const seconds = (performance.now() - begun) / 1_000;
  loop.disable();
  console.log(
    `${rows} tasks, ${journal.recordCount} records in ${seconds.toFixed(1)} s: ${Math.round(journal.recordCount / seconds)} records/s, ` +
      `of which ${(journal.madeMs / 1_000).toFixed(1)} s of this thread made them; event loop p99 ${(loop.percentile(99) / 1e6).toFixed(1)} ms`,
  );
  console.log(
    `file ${Math.round(statSync(file).size / 1_048_576)} MiB, ${Math.round(statSync(file).size / rows)} bytes a task; ` +
      `memory of the process ${Math.round(process.memoryUsage().rss / 1_048_576)} MiB`,
  );
  print('page of 100', await pages(100));
  print('page of 1000', await pages(1_000));
  const one: Asked[] = [];
  for (const [what, filter] of questions) {
    one.push(await ask(`count, ${what}`, () => index.count(filter)));
    one.push(await ask(`groups of status, ${what}`, () => index.countBy('status', filter, 20)));
  }
  print('count or groups', one);
  const more = new MadeJournal(rows, rows + Math.min(rows, 300_000));
  const projector = project(more);
  const whileFed: Asked[] = [];
  const fedAt = performance.now();
  while (projector.status.sequence < more.last) {
    const [what, filter] = questions[whileFed.length % questions.length] as (typeof questions)[number];
    const asked = performance.now();
    await index.list({ filter, sortBy: 'updatedAt', descending: true, limit: 100 });
    whileFed.push({ what, ms: [performance.now() - asked], cpuMs: [] });
  }
  const fedSeconds = (performance.now() - fedAt) / 1_000;
  await projector.stop();
  print(`page of 100 while ${Math.round(more.recordCount / fedSeconds)} records/s come in`, whileFed);
  if (logger.messages('warn').length + logger.messages('error').length > 0) console.log(logger.messages());
} finally {
  await index.close();
  rmSync(folder, { recursive: true, force: true });
}
