import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Client } from '../../src/client.ts';
import { EngineError } from '../../src/core/errors.ts';
import { contentHash } from '../../src/core/hash.ts';
import type { TaskId } from '../../src/core/ids.ts';
import { counter, HistoryLog } from '../models/linearizability/history-log.ts';
import { checkEachKey } from '../models/linearizability/linearizability.ts';
import { taskIdModel, type SubmitAnswer, type SubmitInput } from '../models/linearizability/sequential-models.ts';
import type { EngineChild } from '../support/engine-child.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { ledgerPipeline } from '../support/ledger-pipeline.ts';
import { eventually } from '../support/nats-world.ts';

/** How many submit one id at once. */
const crowds = [2, 3, 5, 8, 13, 21, 34, 50];
/** Ids of each crowd that are let loose at one moment, and of each race in all: `DUPLICATE_IDS=417` makes 10,008 ids of the three races. */
const idsAtOnce = 8;
const idsPerCrowd = Number(process.env['DUPLICATE_IDS'] ?? idsAtOnce);
const clientCount = 3;

/** What the submits send: the same id with the same input is the same task, with another it is refused. */
const inputs = { same: { flaky: false, broken: false }, other: { flaky: true, broken: false } } as const;

describe('one task id, submitted by many at once', () => {
  let world: EngineWorld;
  const clients: Client[] = [];
  const engines: EngineChild[] = [];

  beforeAll(async () => {
    world = await EngineWorld.start();
    for (const nodeId of ['n-1', 'n-2']) engines.push(await world.startEngine({ nodeId }));
    for (let index = 0; index < clientCount; index += 1) clients.push(await world.connect());
  });

  afterAll(() => world?.stop());

  /** Lets the crowds loose, many of them at one moment; every second one has submits of another input among its own. */
  async function race(
    prefix: string,
    meanwhile: (answered: () => number) => Promise<void> = async () => {},
  ): Promise<void> {
    const history = new HistoryLog<SubmitInput, SubmitAnswer>(counter());
    const letLoose = (indexes: readonly number[]): readonly Promise<void>[] =>
      crowds
        .flatMap((crowd) => indexes.map((index) => ({ crowd, taskId: `${prefix}-${crowd}-${index}`, index })))
        .flatMap(({ crowd, taskId, index }) =>
          Array.from({ length: crowd }, (_, member) => {
            const input = index % 2 === 1 && member % 3 === 0 ? 'other' : 'same';
            const client = clients[member % clientCount] as Client;
            return history.record(
              { taskId, inputHash: input },
              () => client.submit(ledgerPipeline, inputs[input], { taskId }),
              { result: ({ kind }) => kind, error: readError },
            );
          }),
        );
    const [first] = clients as [Client];
    const indexes = Array.from({ length: idsPerCrowd }, (_, index) => index);
    await Promise.all([meanwhile(() => history.operations.length), ...letLoose(indexes.splice(0, idsAtOnce))]);
    while (indexes.length > 0) await Promise.all(letLoose(indexes.splice(0, idsAtOnce)));
    await world.untilAllEnd(first, 120_000);
    await expectOneTaskEach(history);
    const answers = new Map<string, number>();
    for (const { output } of history.operations) {
      const answer = output ?? 'unknown';
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
    process.stdout.write(`${prefix}: ${[...answers].map(([answer, count]) => `${count} ${answer}`).join(', ')}\n`);
  }

  async function expectOneTaskEach(history: HistoryLog<SubmitInput, SubmitAnswer>): Promise<void> {
    const verdicts = checkEachKey(taskIdModel, history.operations, ({ taskId }) => taskId);
    expect([...verdicts].filter(([, { kind }]) => kind === 'violated')).toEqual([]);
    const report = await world.readJournal();
    expect(report.violations).toEqual([]);
    const accepted = report.records.filter(({ event }) => event.type === 'task.submitted');
    for (const [taskId, { kind }] of verdicts) {
      expect(kind).toBe('linearizable');
      expect(accepted.filter(({ task }) => task === taskId)).toHaveLength(1);
      const told = history.operations.filter(({ input, output }) => input.taskId === taskId && output !== null);
      const winners = told.filter(({ output }) => output === 'accepted' || output === 'existing');
      const stored = report.tasks.get(taskId as TaskId)?.inputHash;
      for (const { input } of winners) {
        expect(contentHash(inputs[input.inputHash as keyof typeof inputs])).toBe(stored);
      }
      for (const { input, output } of told) {
        if (output === 'conflict') expect(contentHash(inputs[input.inputHash as keyof typeof inputs])).not.toBe(stored);
      }
    }
  }

  it('R-IDEM-1 R-IDEM-2: one is accepted, the same are told of it, and others are refused with TASK_CONFLICT', async () => {
    await race('calm');
  });

  it('R-IDEM-1 R-CORE-3: also while shards are handed over', async () => {
    const joining = world.spawnEngine({ nodeId: 'n-3' });
    await joining.ready();
    engines.push(joining);
    await race('handover', async (answered) => {
      await eventually('some are answered, and most are not', () => answered() > 0);
      expect(await engines[1]?.terminate()).toBe(0);
    });
  });

  it('R-IDEM-1 R-CORE-3: also while an owner is killed', async () => {
    await race('kill', async (answered) => {
      await eventually('some are answered, and most are not', () => answered() > 0);
      await engines[0]?.kill();
    });
    await world.expectAllDone();
  });
});

/** Only a refusal says for certain that nothing was made of the submit. */
function readError(thrown: unknown): SubmitAnswer | null {
  return thrown instanceof EngineError && thrown.code === 'TASK_CONFLICT' ? 'conflict' : null;
}
