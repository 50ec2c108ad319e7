import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { checkHistory, formatViolation } from '../../src/checking/check-history.ts';
import { HistoryRecorder } from '../../src/checking/history-recorder.ts';
import type { EngineChild } from '../support/engine-child.ts';
import { EngineWorld } from '../support/engine-world.ts';

/** Levels of pino's lines. */
const levels = { warn: 40, error: 50, fatal: 60 } as const;

describe('a node process that fails', () => {
  let world: EngineWorld;

  beforeAll(async () => {
    world = await EngineWorld.start({ provider: 'binary' });
  });

  afterAll(() => world?.stop());

  it('I51: ends with 1 when another has taken its name, and its log says why', async () => {
    const first = await world.startEngine({ nodeId: 'twin' });
    // It stands still over its lease, and finds the other one in its place.
    first.freeze();
    const second = await world.startEngine({ nodeId: 'twin' });
    first.resume();
    expect(await first.exit(60_000)).toBe(1);
    expect(await second.terminate()).toBe(0);

    const recorder = new HistoryRecorder({ namespace: 'it', shardCount: 1, parts: ['processes', 'logs'] });
    record(recorder, first, 'first', 'failed');
    record(recorder, second, 'second', 'drained');
    const history = recorder.finish({ entries: [], endedAt: Date.now(), isHealed: true });
    const { violations } = checkHistory(history, { definitions: [], needs: ['I51'] });
    expect(violations.map(formatViolation)).toEqual([]);
    const silent = { ...history, events: history.events.filter(({ type }) => type !== 'log') };
    expect(checkHistory(silent, { definitions: [] }).violations.map(({ id }) => id)).toEqual(['I51']);
  });
});

/** What a process came to, and the lines of level warn and above that it wrote. */
function record(recorder: HistoryRecorder, child: EngineChild, node: string, how: 'failed' | 'drained'): void {
  const at = Date.now();
  recorder.record({ type: 'process.ended', node, incarnation: node, how, exitCode: how === 'failed' ? 1 : 0, at });
  for (const { level, msg, err } of child.log) {
    if (level < levels.warn) continue;
    const name = level >= levels.fatal ? 'fatal' : level >= levels.error ? 'error' : 'warn';
    const code = err?.code === undefined ? {} : { code: err.code };
    recorder.record({ type: 'log', level: name, node, ...code, message: msg, at });
  }
}
