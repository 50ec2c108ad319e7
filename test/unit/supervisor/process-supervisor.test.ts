import { describe, expect, it } from 'vitest';

import type { NodeLife } from '../../../src/core/node-messages.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../../src/platform/memory-metrics.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import { processPolicyDefaults } from '../../../src/supervisor/process-state.ts';
import { ProcessSupervisor, type ProcessMetrics } from '../../../src/supervisor/process-supervisor.ts';
import { MemoryProcesses } from '../../support/memory-processes.ts';

function supervise(count = 1) {
  const processes = new MemoryProcesses();
  const clock = new VirtualClock();
  const metrics = new MemoryMetrics();
  const told: ProcessMetrics[] = [];
  const exited: NodeLife[] = [];
  const supervisor = new ProcessSupervisor(
    {
      processes,
      clock,
      random: new SeededRandom(1),
      logger: new MemoryLogger(),
      metrics,
      tellExited: (life) => exited.push(life),
      settingsOf: (nodeId) => ({
        nodeId,
        flags: {},
        embedded: null,
        siblings: [nodeId],
        graceMs: 1_000,
        color: false,
      }),
      onMetrics: (one) => told.push(one),
    },
    { baseId: 'n', count, policy: { ...processPolicyDefaults, hungAfterMs: 5_000, graceMs: 1_000 } },
  );
  supervisor.start();
  return { supervisor, processes, clock, metrics, told, exited };
}

describe('a process supervisor', () => {
  it('answers a process that says hello with its settings, and is ready when all nodes are', async () => {
    const { supervisor, processes, metrics } = supervise(2);
    const [first, second] = processes.started;
    first?.becomeReady();
    expect(supervisor.isReady).toBe(false);
    second?.becomeReady();
    expect(first?.orders).toMatchObject([{ type: 'node.start', settings: { nodeId: 'n-1' } }]);
    expect(second?.orders).toMatchObject([{ type: 'node.start', settings: { nodeId: 'n-2' } }]);
    expect(await supervisor.ready).toEqual({ natsUrl: 'nats://a', durability: 'power-loss' });
    expect(supervisor.isReady).toBe(true);
    expect(metrics.value('worker_up', { slot: '1' })).toBe(1);
    second?.beat(false);
    expect(supervisor.isReady).toBe(false);
  });

  it('tells of each node what it is and how it does', () => {
    const { supervisor, processes, clock } = supervise();
    processes.last.becomeReady();
    processes.last.beat();
    expect(supervisor.status).toMatchObject({
      phase: 'running',
      rolling: null,
      processes: [
        {
          slot: 0,
          nodeId: 'n-1',
          state: 'ready',
          process: 1,
          pid: 100,
          incarnation: 'life-100',
          isReady: true,
          startedAt: clock.now(),
          restarts: {},
          lastExit: null,
          loopLagMs: 4,
          silentMs: 0,
        },
      ],
    });
  });

  it('R-FAIL-1: starts a crashed process again after its backoff, not with the next look, and counts it', async () => {
    const { supervisor, processes, clock, metrics, exited } = supervise();
    processes.last.becomeReady();
    processes.last.exit({ signal: 'SIGKILL' });
    expect(exited).toEqual([{ nodeId: 'n-1', incarnation: 'life-100' }]);
    expect(metrics.value('worker_up')).toBe(0);
    expect(supervisor.status.processes[0]).toMatchObject({ pid: null, state: 'waiting' });
    await clock.advance(250);
    expect(processes.started).toHaveLength(2);
    expect(metrics.value('worker_restarts_total', { reason: 'SIGKILL' })).toBe(1);
    processes.last.becomeReady();
    expect(supervisor.status.processes[0]).toMatchObject({ pid: 101, process: 2, restarts: { SIGKILL: 1 } });
  });

  it('kills a silent process also while another one goes on telling', async () => {
    const { processes, clock } = supervise(2);
    for (const process of processes.started) process.becomeReady();
    const [silent, alive] = processes.started;
    for (let second = 1; second <= 6; second += 1) {
      await clock.advance(1_000);
      alive?.beat();
    }
    expect(silent?.wasKilled).toBe(true);
    expect(alive?.wasKilled).toBe(false);
  });

  it.each([
    ['nonsense'],
    [null],
    [7],
    [[]],
    [{}],
    [{ type: 'beat' }],
    [{ type: 'node.beat', beat: 'nonsense' }],
    [{ type: 'node.life', life: {} }],
    [{ type: 'node.failed', error: { message: 'no code' } }],
  ])(
    'R-FAIL-1: outlives a process that says %j: it is killed at once, told to the others, and started again',
    async (said) => {
      const { supervisor, processes, clock, metrics, exited } = supervise();
      processes.last.becomeReady();
      processes.last.say(said);
      expect(processes.last.wasKilled).toBe(true);
      processes.last.exit({ signal: 'SIGKILL' });
      expect(exited).toEqual([{ nodeId: 'n-1', incarnation: 'life-100' }]);
      await clock.advance(250);
      expect(processes.started).toHaveLength(2);
      expect(metrics.value('worker_restarts_total', { reason: 'garbled' })).toBe(1);
      expect(supervisor.status.processes[0]).toMatchObject({ state: 'starting', lastExit: { reason: 'garbled' } });
    },
  );

  it('hears a newer version say what it does not know, and lets it live', () => {
    const { processes, supervisor } = supervise();
    processes.last.becomeReady();
    processes.last.say({ type: 'node.weather', sunny: true });
    processes.last.say({ type: 'node.failed', error: { code: 'OF_TOMORROW', message: 'x', retryable: true } });
    expect(processes.last.wasKilled).toBe(false);
    processes.last.exit({ code: 1 });
    expect(supervisor.status.processes[0]).toMatchObject({ state: 'waiting', restarts: { 'exit-1': 1 } });
  });

  it('is not ready from the first moment of a stop on, and ends when the last process has', async () => {
    const { supervisor, processes, clock } = supervise(2);
    for (const process of processes.started) process.becomeReady();
    const outcome = supervisor.stop();
    expect(supervisor.isReady).toBe(false);
    for (const process of processes.started) {
      expect(process.orders.at(-1)).toEqual({ type: 'node.drain', graceMs: 1_000 });
      process.exit({ code: 0 });
    }
    expect(await outcome).toEqual({ kind: 'drained' });
    expect(clock.pendingTimers).toBe(0);
  });

  it('ends every process at once when it is told to', async () => {
    const { supervisor, processes } = supervise();
    const outcome = supervisor.abort();
    expect(processes.last.wasKilled).toBe(true);
    processes.last.exit({ signal: 'SIGKILL' });
    expect(await outcome).toEqual({ kind: 'aborted' });
  });

  it('hands on the metrics that a process tells, with which process it was', () => {
    const { supervisor, processes, told } = supervise();
    processes.last.becomeReady();
    supervisor.askMetrics();
    expect(processes.last.orders.at(-1)).toEqual({ type: 'node.metrics' });
    processes.last.tell({ type: 'node.metrics', families: [{ name: 'a' }], isFinal: true });
    expect(told).toEqual([{ slot: 0, nodeId: 'n-1', process: 1, families: [{ name: 'a' }], isFinal: true }]);
  });

  it('starts nodes anew in their turn', () => {
    const { supervisor, processes, metrics } = supervise();
    processes.last.becomeReady();
    supervisor.roll();
    expect(supervisor.status.rolling).toBe(1);
    processes.last.exit({ code: 0 });
    processes.last.becomeReady();
    expect(supervisor.status).toMatchObject({ rolling: null, processes: [{ pid: 101 }] });
    expect(metrics.value('worker_restarts_total', { reason: 'roll' })).toBe(1);
  });
});
