import { describe, expect, it } from 'vitest';

import type { ErrorCode } from '../../../src/core/errors.ts';
import { nextTickMs } from '../../../src/supervisor/process-decisions.ts';
import { ProcessStory } from '../../support/process-story.ts';

describe('a supervisor that starts', () => {
  it('starts every node, and is running when the last of them is ready', () => {
    const story = new ProcessStory(2);
    expect(story.hear({ type: 'start' })).toMatchObject([
      { type: 'start', slot: 0, process: 1 },
      { type: 'start', slot: 1, process: 1 },
    ]);
    story.becomeReady(1);
    expect(story.state.phase).toBe('starting');
    expect(story.becomeReady(0)).toContainEqual({ type: 'ready' });
    expect(story.state.phase).toBe('running');
    expect(story.state.slots.map(({ nodeId }) => nodeId)).toEqual(['n-1', 'n-2']);
  });

  it.each<ErrorCode>(['CONFIG_INVALID', 'DEFINITION_CHANGED', 'JETSTREAM_DISABLED', 'RECORD_CORRUPT'])(
    '%s ends everything at once, for no restart mends it',
    (code) => {
      const story = new ProcessStory(2);
      story.hear({ type: 'start' });
      story.fail(0, code);
      expect(story.exit(0, 1)).toContainEqual({
        type: 'send',
        slot: 1,
        order: { type: 'node.drain', graceMs: story.policy.graceMs },
      });
      expect(story.exit(1, 0)).toContainEqual({
        type: 'ended',
        outcome: { kind: 'failed', error: expect.objectContaining({ code }) as object },
      });
      expect(story.done('start')).toHaveLength(2);
    },
  );

  it('NATS_UNREACHABLE at a start is worth another one', () => {
    const story = new ProcessStory(1);
    story.hear({ type: 'start' });
    story.fail(0, 'NATS_UNREACHABLE');
    story.exit(0, 1);
    expect(story.phases()).toEqual(['waiting']);
  });
});

describe('a node process that crashes', () => {
  it('R-FAIL-1: is told to the other nodes at once, counted by its reason, and started again after a backoff', () => {
    const story = ProcessStory.running(3);
    story.exit(1, null, 'SIGKILL');
    expect(story.actions).toContainEqual({ type: 'tellExited', life: { nodeId: 'n-2', incarnation: 'life-1-1' } });
    expect(story.actions).toContainEqual({ type: 'count', reason: 'SIGKILL' });
    expect(story.actions).toContainEqual({ type: 'up', slot: 1, isUp: false });
    expect(story.slot(1)).toMatchObject({
      phase: { kind: 'waiting' },
      lastExit: { reason: 'SIGKILL' },
      restarts: { SIGKILL: 1 },
    });
    expect(nextTickMs(story.state, story.nowMs)).toBe(story.nowMs + story.policy.crashBackoff.initialDelayMs);
    story.pass(1_000, [0, 2]);
    expect(story.slot(1)).toMatchObject({ phase: { kind: 'starting' }, process: 2, incarnation: null });
    expect(story.done('start')).toHaveLength(4);
    story.becomeReady(1);
    expect(story.phases()).toEqual(['ready', 'ready', 'ready']);
    expect(story.done('ready')).toHaveLength(1);
  });

  it('names the last of its lives', () => {
    const story = ProcessStory.running(1);
    story.tell(0, { type: 'node.life', life: { nodeId: 'n-1' as never, incarnation: 'after-self-fencing' } });
    story.exit(0, 3);
    expect(story.done('tellExited')).toEqual([
      { type: 'tellExited', life: { nodeId: 'n-1', incarnation: 'after-self-fencing' } },
    ]);
    expect(story.slot(0).restarts).toEqual({ 'exit-3': 1 });
  });

  it('waits longer after each crash, up to its limit: then RESTART_INTENSITY_EXCEEDED, and the others drain', () => {
    const story = ProcessStory.running(2, { crashLimit: { intensity: 3, periodMs: 60_000 } });
    const delays: number[] = [];
    for (let crash = 1; crash <= 3; crash += 1) {
      story.exit(0, 1);
      const { phase } = story.slot(0);
      if (phase.kind === 'waiting') delays.push(phase.startAtMs - story.nowMs);
      story.pass(2_000, [1]);
      story.becomeReady(0);
    }
    expect(delays).toEqual([200, 400, 800]);
    story.exit(0, 1);
    expect(story.phases()).toEqual(['ended', 'draining']);
    expect(story.exit(1, 0)).toContainEqual({
      type: 'ended',
      outcome: {
        kind: 'failed',
        error: expect.objectContaining({
          code: 'RESTART_INTENSITY_EXCEEDED',
          limit: '3',
          field: 'crashIntensity',
        }) as object,
      },
    });
  });

  it('is given up sooner when it ends before it joins the cluster, whatever it did when it was a member', () => {
    const story = ProcessStory.running(2, { startLimit: { intensity: 2, periodMs: 60_000 } });
    for (let crash = 1; crash <= 10; crash += 1) {
      story.exit(0, 1);
      story.pass(3_000, [1]);
      story.becomeReady(0);
    }
    story.exit(0, 1);
    story.pass(3_000, [1]);
    story.exit(0, 1);
    story.pass(3_000, [1]);
    story.exit(0, 1);
    expect(story.phases()).toEqual(['waiting', 'ready']);
    story.pass(3_000, [1]);
    story.exit(0, 1);
    expect(story.state.outcome).toMatchObject({
      kind: 'failed',
      error: { code: 'RESTART_INTENSITY_EXCEEDED', field: 'startIntensity' },
    });
  });

  it('I33: that ends as a member, before all its shards are open, has crashed: a task may have done it', () => {
    const story = ProcessStory.running(1, { startLimit: { intensity: 0, periodMs: 60_000 } });
    story.exit(0, 1);
    story.pass(3_000);
    story.tell(0, { type: 'node.life', life: { nodeId: 'n-1' as never, incarnation: 'second' } });
    story.exit(0, 1);
    expect(story.slot(0)).toMatchObject({ phase: { kind: 'waiting' }, crashesMs: { length: 2 }, failedStartsMs: [] });
  });

  it('begins anew with its delays when it ran well for a period', () => {
    const story = ProcessStory.running(1, { crashLimit: { intensity: 1, periodMs: 5_000 } });
    for (let crash = 1; crash <= 3; crash += 1) {
      story.exit(0, 1);
      story.pass(1_000);
      story.becomeReady(0);
      story.pass(6_000, [0]);
    }
    expect(story.slot(0)).toMatchObject({ phase: { kind: 'ready' }, restarts: { 'exit-1': 3 } });
  });

  it('ends everything when another process has its name: they would drive each other out', () => {
    const story = ProcessStory.running(2);
    story.fail(0, 'OWNERSHIP_LOST');
    story.exit(0, 1);
    expect(story.state).toMatchObject({
      phase: 'stopping',
      outcome: { kind: 'failed', error: { code: 'OWNERSHIP_LOST' } },
    });
  });

  it('with a damaged shard is started again: the others go on', () => {
    const story = ProcessStory.running(2);
    story.fail(0, 'RECORD_CORRUPT');
    story.exit(0, 1);
    expect(story.phases()).toEqual(['waiting', 'ready']);
  });

  it('and whose exit comes late, when its successor runs, changes nothing', () => {
    const story = ProcessStory.running(1);
    story.exit(0, 1);
    story.pass(1_000);
    expect(story.exit(0, null, 'SIGKILL', 1)).toEqual([]);
    expect(story.tell(0, { type: 'node.ready', readiness: { natsUrl: '', durability: '' } }, 1)).toEqual([]);
    expect(story.slot(0)).toMatchObject({ process: 2, phase: { kind: 'starting' } });
  });

  it('and could not even be started counts as a crash', () => {
    const story = new ProcessStory(1);
    story.hear({ type: 'start' });
    story.exit(0, null);
    expect(story.slot(0)).toMatchObject({ phase: { kind: 'waiting' }, restarts: { 'not-started': 1 } });
  });
});

describe('a node process that gives no sign of life', () => {
  it('is killed after the bound with what it was at, and started again for the reason hung', () => {
    const story = ProcessStory.running(2, { hungAfterMs: 5_000 });
    story.beat(0);
    story.pass(4_000, [1]);
    expect(story.done('kill')).toEqual([]);
    story.pass(1_000, [1]);
    expect(story.done('kill')).toEqual([{ type: 'kill', slot: 0 }]);
    expect(story.done('log').at(-1)).toMatchObject({
      level: 'error',
      message: 'a node process gives no sign of life and is killed',
      fields: { node: 'n-1', silentMs: 5_000, running: [{ shard: 7, stages: 1 }] },
    });
    story.pass(2_000, [1]);
    expect(story.done('kill')).toHaveLength(1);
    story.exit(0, null, 'SIGKILL');
    expect(story.slot(0)).toMatchObject({ restarts: { hung: 1 }, lastExit: { reason: 'hung', signal: 'SIGKILL' } });
  });

  it('has more time before its first one, while it loads its code', () => {
    const story = new ProcessStory(1, { hungAfterMs: 5_000, firstBeatMs: 20_000 });
    story.hear({ type: 'start' });
    story.pass(24_000);
    expect(story.done('kill')).toEqual([]);
    story.pass(1_000);
    expect(story.done('kill')).toHaveLength(1);
  });

  it('is spared when it was the supervisor that was away', () => {
    const story = ProcessStory.running(1, { hungAfterMs: 5_000 });
    story.nowMs += 60_000;
    story.hear({ type: 'tick', lateMs: 59_000 });
    expect(story.done('kill')).toEqual([]);
    story.pass(5_000);
    expect(story.done('kill')).toHaveLength(1);
  });
});

describe('a stop', () => {
  it('drains every node and is clean when each has ended by itself', () => {
    const story = ProcessStory.running(2);
    story.hear({ type: 'stop' });
    expect(story.actions.filter(({ type }) => type === 'send')).toHaveLength(2);
    expect(story.hear({ type: 'stop' })).toEqual([]);
    story.exit(0, 0);
    expect(story.done('ended')).toEqual([]);
    expect(story.exit(1, 0)).toContainEqual({ type: 'ended', outcome: { kind: 'drained' } });
    expect(story.done('tellExited')).toEqual([]);
    expect(story.done('start')).toHaveLength(2);
  });

  it('kills a node that overruns its grace and the margin, and is unclean', () => {
    const story = ProcessStory.running(2, { graceMs: 3_000, graceMarginMs: 2_000 });
    story.hear({ type: 'stop' });
    story.exit(1, 0);
    story.pass(4_000, [0]);
    expect(story.done('kill')).toEqual([]);
    story.pass(1_000, [0]);
    expect(story.done('kill')).toEqual([{ type: 'kill', slot: 0 }]);
    expect(story.exit(0, null, 'SIGKILL')).toContainEqual({ type: 'ended', outcome: { kind: 'unclean' } });
  });

  it('in which a node crashes is unclean, and starts nothing', () => {
    const story = ProcessStory.running(1);
    story.hear({ type: 'stop' });
    expect(story.exit(0, 1)).toContainEqual({ type: 'ended', outcome: { kind: 'unclean' } });
    expect(story.done('start')).toHaveLength(1);
  });

  it('waits for nobody who waits for a restart', () => {
    const story = ProcessStory.running(1);
    story.exit(0, 1);
    expect(story.hear({ type: 'stop' })).toContainEqual({ type: 'ended', outcome: { kind: 'drained' } });
  });

  it('becomes an end at once by a second signal, also during the drain', () => {
    const story = ProcessStory.running(2);
    story.hear({ type: 'stop' });
    story.exit(0, 0);
    expect(story.hear({ type: 'abort' })).toEqual([{ type: 'kill', slot: 1 }]);
    expect(story.hear({ type: 'abort' })).toEqual([]);
    expect(story.exit(1, null, 'SIGKILL')).toContainEqual({ type: 'ended', outcome: { kind: 'aborted' } });
  });

  it('for what all need drains the nodes and keeps its error, whatever comes after it', () => {
    const story = ProcessStory.running(1);
    const error = { code: 'NATS_UNREACHABLE', message: 'gone', retryable: true } as const;
    story.hear({ type: 'fail', outcome: { kind: 'failed', error } });
    story.hear({ type: 'abort' });
    expect(story.exit(0, null, 'SIGKILL')).toContainEqual({ type: 'ended', outcome: { kind: 'failed', error } });
  });
});

describe('the next look', () => {
  it('comes within a second, and when something is due before', () => {
    const story = ProcessStory.running(1, { graceMs: 100, graceMarginMs: 100 });
    expect(nextTickMs(story.state, story.nowMs)).toBe(story.nowMs + 1_000);
    story.hear({ type: 'stop' });
    expect(nextTickMs(story.state, story.nowMs)).toBe(story.nowMs + 200);
    expect(nextTickMs(story.state, story.nowMs + 500)).toBe(story.nowMs + 500);
  });
});
