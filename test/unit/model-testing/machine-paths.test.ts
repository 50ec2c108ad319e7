import { describe, expect, it } from 'vitest';

import { pathsOf } from '../../../src/model-testing/machine-paths.ts';
import { PathPlanner } from '../../../src/model-testing/path-planner.ts';
import { listingPipeline } from '../../support/a-task.ts';

const outputs = { parse: 'p', photos: 'f', publish: 'b', announce: 'a' };
const planner = new PathPlanner(listingPipeline, {
  input: { photos: 3 },
  readInput: { photos: 3 },
  outputs,
  readOutputs: outputs,
});

/** Transitions by the name of what they do, whichever stage. */
function kindsOf(transitions: readonly string[]): Set<string> {
  return new Set(transitions.map((text) => text.replaceAll(/\b(parse|photos|publish|announce)\b/g, 'stage')));
}

describe('the paths of a machine', () => {
  it('R-STAGE-2: lead from the submit to an end, each step where the one before has led', () => {
    const paths = pathsOf(planner, 2);
    expect(paths.length).toBeGreaterThan(100);
    for (const { steps } of paths) {
      expect(steps[0]?.from).toBe('new');
      expect(['completed', 'canceled']).toContain(steps.at(-1)?.to);
      for (const [index, { from }] of steps.entries()) if (index > 0) expect(from).toBe(steps[index - 1]?.to);
    }
  });

  it('begin with the one without detours, and have names of their own', () => {
    const paths = pathsOf(planner, 1);
    expect(paths[0]?.name).toBe('parse → photos → publish → announce');
    expect(new Set(paths.map(({ name }) => name)).size).toBe(paths.length);
    expect(pathsOf(planner, 0)).toHaveLength(1);
  });

  it('R-STAGE-2: take every transition of the machine but those that no outside brings about, and skips of other inputs', () => {
    const walked = kindsOf(
      pathsOf(planner, 2).flatMap(({ steps }) => steps.map(({ from, event, to }) => `${from} ${event.type} ${to}`)),
    );
    const all = kindsOf(
      [...listingPipeline.plan.nodes.values()].flatMap(({ value, transitions }) =>
        [...transitions].flatMap(([type, list]) => list.map(({ target }) => `${value} ${type} ${target.value}`)),
      ),
    );
    const missing = [...all].filter((transition) => !walked.has(transition));
    expect(missing.toSorted()).toMatchInlineSnapshot(`
      [
        "stage.backingOff task.quarantined deadLettered.stage",
        "stage.held task.quarantined deadLettered.stage",
        "stage.queued task.quarantined deadLettered.stage",
        "stage.running owner.changed deadLettered.stage",
        "stage.running stage.checkpointed stage.running",
        "stage.running stage.cleared stage.running",
        "stage.running task.quarantined deadLettered.stage",
        "stage.unknown outcome.resolved stage.unknown",
        "stage.unknown owner.changed stage.unknown",
        "stage.unknown task.quarantined deadLettered.stage",
      ]
    `);
    for (const transition of walked) expect(all).toContain(transition);
  });
});
