import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { evolve } from '../../src/actors/evolve.ts';
import type { TaskState } from '../../src/actors/task-state.ts';
import { assembleCommit, encodeRecord } from '../../src/core/commit-codec.ts';
import type { Epoch, NodeId, Sequence, ShardId, StageName, TaskId } from '../../src/core/ids.ts';
import type { TaskEvent, TaskRecord } from '../../src/core/records.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import type { JournalEntry } from '../../src/ports/journal.ts';
import { checkJournal } from '../support/journal-checker.ts';

const definition = definePipeline({
  name: 'two',
  version: 1,
  input: z.object({}),
  stages: (pipeline) =>
    pipeline
      .stage('one', { output: z.number(), retry: { maxAttempts: 3 }, timeoutMs: 1_000, driver: () => 1 })
      .stage('two', { output: z.number(), retry: { maxAttempts: 3 }, timeoutMs: 1_000, driver: () => 2 }),
});
const [one, two] = ['one' as StageName, 'two' as StageName];

const submitted: TaskEvent = {
  type: 'task.submitted',
  pipeline: definition.name,
  version: 1,
  input: { json: {} },
  inputHash: 'h',
  origin: { commandId: 'c-1' as never },
  next: one,
  skipped: [],
  start: true,
};

function completed(stage: StageName, next: StageName | null): TaskEvent {
  return { type: 'stage.completed', stage, attempt: 1, output: { json: 1 }, next, skipped: [], start: next !== null };
}

/** Writes a journal of one shard as an owner does, or as it must never be. */
class Scribe {
  readonly entries: JournalEntry[] = [];
  #state: TaskState | null = null;
  #batch = 0;

  claim(epoch: number): this {
    this.#batch = 0;
    const owner = { epoch: epoch as Epoch, node: 'n-1' as NodeId, incarnation: `i-${epoch}` };
    return this.#write(epoch, [], { owner });
  }

  /** A commit of events that the task accepts. */
  commit(epoch: number, ...events: readonly TaskEvent[]): this {
    const records = events.map((event) => {
      const evolution = evolve({
        definition,
        taskId: 'a' as TaskId,
        state: this.#state,
        event,
        at: 1_000,
        dedupWindowSize: 32,
      });
      if (evolution.kind === 'refused') throw new Error(evolution.reason);
      this.#state = evolution.state;
      return evolution.record;
    });
    return this.#write(epoch, records, {});
  }

  /** A commit of records as they are given. */
  forge(epoch: number, ...records: readonly TaskRecord[]): this {
    return this.#write(epoch, records, {});
  }

  /** The next commit looks as if one before it were lost. */
  skipBatch(): this {
    this.#batch += 1;
    return this;
  }

  /** What the checker finds in it. */
  get violations(): readonly string[] {
    return checkJournal(this.entries, [definition]).violations;
  }

  #write(epoch: number, records: readonly TaskRecord[], extra: object): this {
    this.#batch += 1;
    const sequence = (this.entries.length + 1) as Sequence;
    const head = { format: 1 as const, epoch: epoch as Epoch, batch: this.#batch, at: 1_000, ...extra };
    this.entries.push({
      shard: 0 as ShardId,
      sequence,
      previous: (sequence - 1) as Sequence,
      storedAt: 1_000,
      body: assembleCommit(head, records.map(encodeRecord)),
    });
    return this;
  }
}

function record(seq: number, event: TaskEvent, to: string): TaskRecord {
  return { task: 'a' as TaskId, seq, at: 1_000, event, to, pipeline: definition.name, version: 1 };
}

describe('the checker of whole journals', () => {
  it('finds nothing in a good journal, and tells its tasks, starts and claims', () => {
    const scribe = new Scribe()
      .claim(1)
      .commit(1, submitted)
      .commit(1, completed(one, two))
      .commit(1, completed(two, null));
    const report = checkJournal(scribe.entries, [definition]);
    expect(report.violations).toEqual([]);
    expect(report.tasks.get('a' as TaskId)?.machine.value).toBe('completed');
    expect(report.starts).toMatchObject([
      { stage: 'one', attempt: 1, epoch: 1, sequence: 2 },
      { stage: 'two', attempt: 1, epoch: 1, sequence: 3 },
    ]);
    expect(report.claims).toMatchObject([{ epoch: 1, node: 'n-1', sequence: 1 }]);
  });

  it('finds a commit of an older epoch after a newer claim', () => {
    const scribe = new Scribe().claim(1).commit(1, submitted).claim(2).commit(1, completed(one, two));
    expect(scribe.violations).toEqual(['4: is of epoch 1 within epoch 2']);
  });

  it('finds an epoch that is claimed again', () => {
    expect(new Scribe().claim(2).claim(2).violations).toEqual(['2: claims epoch 2 after 2']);
  });

  it('finds a commit without a claim, a lost batch, and an entry that does not follow the one before', () => {
    expect(new Scribe().commit(1, submitted).violations).toEqual(['1: is of epoch 1 within epoch undefined']);
    expect(new Scribe().claim(1).skipBatch().commit(1, submitted).violations).toEqual(['2: is batch 3 after 1']);
    const { entries } = new Scribe().claim(1).commit(1, submitted).commit(1, completed(one, two));
    const report = checkJournal(
      entries.filter(({ sequence }) => sequence !== 2),
      [definition],
    );
    expect(report.violations[0]).toBe('3: follows 1, not 2');
  });

  it('finds a record that leads elsewhere than it says, or that nothing came before', () => {
    const diverging = new Scribe()
      .claim(1)
      .commit(1, submitted)
      .forge(1, record(2, completed(one, two), 'one.held'));
    expect(diverging.violations).toEqual([expect.stringContaining('reached two.running')]);
    const orphan = new Scribe().claim(1).forge(1, record(2, completed(one, two), 'two.running'));
    expect(orphan.violations).toEqual(['2: task a begins with stage.completed']);
  });

  it('finds a stage that completes again, and a record after the end', () => {
    const again = new Scribe().claim(1).commit(1, submitted).commit(1, completed(one, two));
    again.forge(1, record(3, completed(one, two), 'two.running'));
    expect(again.violations).toHaveLength(1);
    const ended = new Scribe().claim(1).commit(1, submitted, completed(one, two), completed(two, null));
    ended.forge(1, record(4, completed(two, null), 'completed'));
    expect(ended.violations).toEqual(['3: task a goes on after completed']);
  });
});
