import { describe, expect, it } from 'vitest';
import { explainOneTask, findInJournal, type ExplainDeps } from '../../../src/client/explain-one-task.ts';
import { EngineError } from '../../../src/core/errors.ts';
import type { ShardId } from '../../../src/core/ids.ts';
import type { TaskView } from '../../../src/core/task-view.ts';
import { VirtualClock } from '../../../src/testing.ts';
import { aTaskView, card } from '../../support/admin-kit.ts';
import { aRecord, submitted } from '../../support/array-journal.ts';
import { taskOf } from '../../support/shard-kit.ts';

const taskId = taskOf('t-1');
const noOwner = new EngineError('NO_OWNER', 'nobody serves shard 0');

/** A world in which the owner answers, or throws; the journal has what the test says. */
function depsOf(
  answer: TaskView | Error,
  changes: Partial<ExplainDeps> = {},
  shards: readonly object[] = [],
): ExplainDeps {
  return {
    client: {
      get: async () => {
        if (answer instanceof Error) throw answer;
        return answer;
      },
      cluster: { status: async () => ({ shards }) as never },
    },
    clock: new VirtualClock(),
    definitions: [],
    recorded: { source: 'journal', find: async () => null },
    ...changes,
  };
}

const journal = findInJournal({
  history: async () => {
    const records = [
      submitted('t-1'),
      aRecord('t-1', 2, { type: 'stage.started', stage: 'parse', attempt: 1 } as never, 'parse.running'),
    ].map((record, index) => ({ record, index, sequence: index + 1, epoch: 1, storedAt: 0 }));
    return { taskId, shard: 0 as ShardId, records, isComplete: true, missingCount: 0, through: 2 } as never;
  },
});

describe('the explanation of one task', () => {
  it('is by its owner’s word, with who that is', async () => {
    expect(await explainOneTask(depsOf(aTaskView('t-1')), taskId)).toMatchObject({
      source: 'owner',
      owner: { node: 'n-1', epoch: 1 },
      holds: [{ kind: 'driver', timeoutMs: null }],
      moves: [{ command: 'pause' }, { command: 'cancel' }],
      legalEvents: [],
    });
  });

  it('takes from a definition at hand what an older owner does not tell', async () => {
    const { holds, legalEvents } = await explainOneTask(depsOf(aTaskView('t-1'), { definitions: [card] }), taskId);
    expect(holds).toEqual([{ kind: 'driver', timeoutMs: 1_000 }]);
    expect(legalEvents).toContain('stage.completed');
  });

  it('NO_OWNER: is of what the journal has while nobody serves the shard, with what the cluster says of it', async () => {
    const shards = [{ shard: 0, to: 'n-2', why: 'n-1 is down' }];
    expect(await explainOneTask(depsOf(noOwner, { recorded: journal }, shards), taskId)).toMatchObject({
      source: 'journal',
      owner: null,
      state: 'parse.running',
      holds: [{ kind: 'noOwner', expected: 'n-2', why: 'n-1 is down' }, { kind: 'driver' }],
      movers: ['cluster', 'driver'],
      legalCommands: [],
    });
  });

  it('needs no word of the cluster', async () => {
    const deps = depsOf(noOwner, { recorded: journal });
    const blind = {
      ...deps,
      client: {
        ...deps.client,
        cluster: { status: () => Promise.reject(new EngineError('UNAVAILABLE', 'no leases')) },
      },
    };
    expect((await explainOneTask(blind, taskId)).holds[0]).toEqual({ kind: 'noOwner', expected: null, why: null });
  });

  it('NO_OWNER: is refused when nothing is recorded either', async () => {
    await expect(explainOneTask(depsOf(noOwner), taskId)).rejects.toBe(noOwner);
  });

  it('TASK_NOT_FOUND: is the owner’s own answer, and no record is looked for', async () => {
    const notFound = new EngineError('TASK_NOT_FOUND', 'no task');
    const recorded: ExplainDeps['recorded'] = {
      source: 'index',
      find: () => Promise.reject(new Error('the index was asked')),
    };
    await expect(explainOneTask(depsOf(notFound, { recorded }), taskId)).rejects.toBe(notFound);
  });

  it('gives the owner no longer than it has itself, and never as long as for a command', async () => {
    const asked: unknown[] = [];
    const client = {
      ...depsOf(aTaskView('t-1')).client,
      get: async (_id: string, options: unknown) => {
        asked.push(options);
        return aTaskView('t-1');
      },
    };
    for (const deadlineMs of [500, 60_000]) {
      await explainOneTask({ ...depsOf(noOwner), client }, taskId, { deadlineMs });
    }
    expect(asked).toMatchObject([{ deadlineMs: 500 }, { deadlineMs: 3_000 }]);
  });
});
