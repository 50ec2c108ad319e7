import { describe, expect, it } from 'vitest';

import { crashScenarios, type CrashScenario } from '../../support/crash-scenarios.ts';
import { verdictOf } from '../../support/crash-verdict.ts';
import { CrashWorld } from '../../support/crash-world.ts';

const scenario = crashScenarios[0] as CrashScenario;

/** A world after its scenario, in which nobody died. */
async function aWorld(): Promise<CrashWorld> {
  const world = new CrashWorld([], scenario.config);
  world.launch('node-1');
  await world.survive(scenario.run(world));
  return world;
}

async function verdictAfter(
  change: (world: CrashWorld) => void | Promise<void>,
  asked: CrashScenario = scenario,
): Promise<string> {
  const world = await aWorld();
  await change(world);
  return (await verdictOf(world, asked)).join('\n');
}

describe('the verdict of a crash run', () => {
  it('is empty when all promises hold', async () => {
    expect(await verdictAfter(() => {})).toBe('');
  });

  it('R-IDEM-2: tells of a command that was answered and is not in the journal', async () => {
    const missing = { name: 'redrive', taskId: 'a', commandId: 'r-9' };
    expect(await verdictAfter((world) => void world.answered.push(missing))).toContain(
      'redrive r-9 of a was answered, and is not in the journal',
    );
  });

  it('R-IDEM-1: tells of an effect that nobody asked for', async () => {
    const stray = { taskId: 'a', stage: 'extra', idempotencyKey: 'cabinet:a:extra', attempt: 1 } as never;
    const fence = { shard: 0, epoch: 1, sequence: 1 } as never;
    const verdict = await verdictAfter((world) => void world.ledger.apply({ ...(stray as object), fence } as never));
    expect(verdict).toContain('3 effects, not 2 to 2');
  });

  it('R-IDEM-1: tells of a stage that may run once and was run again', async () => {
    const verdict = await verdictAfter(
      (world) => {
        const [first] = world.ledger.reached;
        if (first === undefined) throw new Error('nothing was done');
        const { task, stage, key, attempt, fence } = first;
        world.ledger.apply({ taskId: task, stage, idempotencyKey: key, attempt: attempt + 1, fence } as never);
      },
      { ...scenario, isBlind: true },
    );
    expect(verdict).toContain('the outside was asked again for cabinet:a:parse');
    expect(verdict).toContain('a fence went back');
  });

  it('R-CORE-3: tells of a task that is left under way', async () => {
    const verdict = await verdictAfter(async (world) => {
      await world.test.run(world.submit('b', 'stuck'));
    });
    expect(verdict).toContain('b is left in parse.');
  });
});
