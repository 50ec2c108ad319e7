import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { TaskView } from '../../../src/core/task-view.ts';
import type { CrashPoint } from '../../support/crash-points.ts';
import { crashScenarios, type CrashScenario } from '../../support/crash-scenarios.ts';
import { CrashWorld } from '../../support/crash-world.ts';

/** Runs the scenario under processes that die at these points, one after the other, and then under some that live. */
async function survive(scenario: CrashScenario, points: readonly CrashPoint[]): Promise<CrashWorld> {
  const world = new CrashWorld();
  const left = [...points];
  let process = await world.start(left.shift());
  const done = scenario.run(world);
  done.catch(() => {}); // Awaited below.
  while (!(await world.until(process, done))) process = await world.start(left.shift());
  await done;
  process.spare();
  if (process.isDead) await world.start();
  return world;
}

/** How many port calls the scenario's first process makes. */
async function countCalls(scenario: CrashScenario): Promise<number> {
  const world = await survive(scenario, []);
  return world.processes[0]?.mortal.calls.length ?? 0;
}

async function viewOf(world: CrashWorld, taskId: string): Promise<Omit<TaskView, 'owner'>> {
  const { owner: _owner, ...view } = await world.test.run(world.test.client.get(taskId, { includePayloads: true }));
  return view;
}

/** Every promise that must hold at the end, whatever died when. */
async function check(world: CrashWorld, scenario: CrashScenario): Promise<void> {
  expect(await world.violations()).toEqual([]);
  expect(world.ledger.appliedCount()).toBe(scenario.effects);
  const { tasks } = await world.report();
  for (const [taskId, state] of tasks) {
    expect(['completed', 'canceled']).toContain(state.machine.value);
    expect(await viewOf(world, taskId)).toMatchObject({ state: state.machine.value, seq: state.seq });
  }
}

describe.each(crashScenarios)('$name', (scenario) => {
  it(
    'R-CORE-3 R-WRK-2 R-IDEM-1 R-SUM-1: survives a crash before and after every port call',
    { timeout: 60_000 },
    async () => {
      const count = await countCalls(scenario);
      expect(count).toBeGreaterThan(10);
      let deaths = 0;
      for (let at = 1; at <= count; at += 1) {
        for (const when of ['before', 'after'] as const) {
          const world = await survive(scenario, [{ at, when }]);
          deaths += world.processes.length - 1;
          await check(world, scenario).catch((error: unknown) => {
            const call = world.processes[0]?.mortal.calls[at - 1];
            throw new Error(`crash ${when} call ${at} (${call})`, { cause: error });
          });
        }
      }
      expect(deaths).toBeGreaterThan(count);
    },
  );
});

describe('a process that dies while it recovers', () => {
  const scenario = crashScenarios.find(({ name }) => name === 'snapshot rounds under several tasks') as CrashScenario;

  it(
    'R-CORE-3 R-WRK-2: is survived before and after every port call of the recovery',
    { timeout: 60_000 },
    async () => {
      const count = await countCalls(scenario);
      for (const first of [0.4, 0.7].map((part) => Math.round(count * part))) {
        for (let at = 1; at <= 22; at += 1) {
          for (const when of ['before', 'after'] as const) {
            const world = await survive(scenario, [
              { at: first, when: 'after' },
              { at, when },
            ]);
            expect(world.processes).toHaveLength(3);
            await check(world, scenario);
          }
        }
      }
    },
  );

  it('R-CORE-3 R-WRK-2: is survived ten times in a row, at moments drawn at random', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            at: fc.integer({ min: 4, max: 40 }),
            when: fc.constantFrom('before' as const, 'after' as const),
          }),
          { minLength: 2, maxLength: 10 },
        ),
        fc.constantFrom(...crashScenarios),
        async (points, drawn) => {
          await check(await survive(drawn, points), drawn);
        },
      ),
      { numRuns: 60 },
    );
  });
});
