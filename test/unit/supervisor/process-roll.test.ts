import { describe, expect, it } from 'vitest';

import { ProcessStory } from '../../support/process-story.ts';

/** Drains and starts the node whose turn it is, until it is ready again. */
function turn(story: ProcessStory, slot: number): void {
  expect(story.slot(slot).phase.kind).toBe('draining');
  story.exit(slot, 0);
  expect(story.slot(slot).phase.kind).toBe('starting');
  story.becomeReady(slot);
}

describe('a rolling restart', () => {
  it('R-WRK-2: drains, ends and starts one node after the other, each when the one before is ready', () => {
    const story = ProcessStory.running(3);
    story.hear({ type: 'roll' });
    for (const slot of [0, 1, 2]) {
      expect(story.phases().filter((kind) => kind !== 'ready')).toEqual(['draining']);
      turn(story, slot);
    }
    expect(story.state.roll).toBeNull();
    expect(story.state.slots.map(({ process, restarts }) => [process, restarts])).toEqual([
      [2, { roll: 1 }],
      [2, { roll: 1 }],
      [2, { roll: 1 }],
    ]);
    expect(story.done('tellExited')).toEqual([]);
    expect(story.slot(0).crashesMs).toEqual([]);
  });

  it('asked for during one follows it once, however often', () => {
    const story = ProcessStory.running(1);
    for (let count = 0; count < 3; count += 1) story.hear({ type: 'roll' });
    turn(story, 0);
    turn(story, 0);
    expect(story.slot(0)).toMatchObject({ process: 3, phase: { kind: 'ready' } });
    expect(story.state.roll).toBeNull();
  });

  it('asked for while the nodes start waits until they are ready', () => {
    const story = new ProcessStory(2);
    story.hear({ type: 'start' });
    story.hear({ type: 'roll' });
    story.becomeReady(0);
    expect(story.phases()).toEqual(['ready', 'starting']);
    story.becomeReady(1);
    expect(story.phases()).toEqual(['draining', 'ready']);
  });

  it('waits while another node is away after a crash', () => {
    const story = ProcessStory.running(3);
    story.hear({ type: 'roll' });
    story.exit(2, null, 'SIGKILL');
    turn(story, 0);
    expect(story.phases()).toEqual(['ready', 'ready', 'waiting']);
    story.pass(1_000, [0, 1]);
    story.becomeReady(2);
    turn(story, 1);
    turn(story, 2);
    expect(story.state.roll).toBeNull();
  });

  it('goes on after a node that crashed while it drained', () => {
    const story = ProcessStory.running(2);
    story.hear({ type: 'roll' });
    story.exit(0, null, 'SIGKILL');
    expect(story.slot(0).restarts).toEqual({ SIGKILL: 1 });
    story.pass(1_000, [1]);
    story.becomeReady(0);
    turn(story, 1);
    expect(story.state.roll).toBeNull();
  });

  it('kills a node that overruns its grace, starts it at once, and goes on', () => {
    const story = ProcessStory.running(2, { graceMs: 1_000, graceMarginMs: 1_000 });
    story.hear({ type: 'roll' });
    story.pass(2_000, [0, 1]);
    story.exit(0, null, 'SIGKILL');
    expect(story.slot(0)).toMatchObject({ phase: { kind: 'starting' }, restarts: { overrun: 1 } });
    expect(story.done('tellExited')).toHaveLength(1);
    story.becomeReady(0);
    turn(story, 1);
  });

  it('stops at a node that crashes before it is ready again; its restarts go on', () => {
    const story = ProcessStory.running(2);
    story.hear({ type: 'roll' });
    story.exit(0, 0);
    story.exit(0, 1);
    expect(story.state.roll).toBeNull();
    expect(story.logged('the rolling restart has stopped')).toBe(true);
    expect(story.phases()).toEqual(['waiting', 'ready']);
    story.pass(1_000, [1]);
    story.becomeReady(0);
    expect(story.phases()).toEqual(['ready', 'ready']);
  });

  it('CONFIG_INVALID: stops at a node that cannot come back, and lets the others run until the next one', () => {
    const story = ProcessStory.running(2);
    story.hear({ type: 'roll' });
    story.exit(0, 0);
    story.fail(0, 'CONFIG_INVALID', 'pipelines is missing');
    story.exit(0, 1);
    expect(story.phases()).toEqual(['down', 'ready']);
    expect(story.state).toMatchObject({ phase: 'running', roll: null });
    expect(story.done('log')).toContainEqual(
      expect.objectContaining({ level: 'error', fields: { node: 'n-1', why: 'pipelines is missing', left: ['n-2'] } }),
    );
    story.hear({ type: 'roll' });
    expect(story.phases()).toEqual(['starting', 'ready']);
    story.becomeReady(0);
    turn(story, 1);
    expect(story.phases()).toEqual(['ready', 'ready']);
  });

  it('stops at a node that is not ready in time', () => {
    const story = ProcessStory.running(2, { rollReadyMs: 5_000 });
    story.hear({ type: 'roll' });
    story.exit(0, 0);
    story.pass(5_000, [0, 1]);
    expect(story.state.roll).toBeNull();
    expect(story.phases()).toEqual(['starting', 'ready']);
  });

  it('is over with a stop, and none is begun in one', () => {
    const story = ProcessStory.running(2);
    story.hear({ type: 'roll' });
    story.hear({ type: 'stop' });
    story.hear({ type: 'roll' });
    story.exit(0, 0);
    story.exit(1, 0);
    expect(story.state).toMatchObject({ phase: 'ended', outcome: { kind: 'drained' }, roll: null });
    expect(story.done('start')).toHaveLength(2);
  });
});
