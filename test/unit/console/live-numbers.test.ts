import { describe, expect, it } from 'vitest';
import {
  metricWindowMs,
  recentHistogram,
  withLook,
  type MetricLook,
} from '../../../console/src/model/metric-window.ts';
import { readMetrics } from '../../../console/src/model/metrics-text.ts';
import type { Latencies } from '../../../console/src/api/types.ts';
import { busiestStages, overviewOf, sampleOf } from '../../../console/src/model/overview-state.ts';
import { quantileOf } from '../../../src/core/histogram.ts';

const name = 'cabinet_stage_duration_seconds';

function lookAt(at: number, fast: number, slow: number): MetricLook {
  const labels = 'pipeline="card",stage="print",outcome="completed"';
  const text = [
    `${name}_bucket{le="1",${labels}} ${fast}`,
    `${name}_bucket{le="10",${labels}} ${fast + slow}`,
    `${name}_bucket{le="+Inf",${labels}} ${fast + slow}`,
    `${name}_sum{${labels}} 1`,
    `${name}_count{${labels}} ${fast + slow}`,
  ].join('\n');
  return { at, samples: readMetrics(text, 'cabinet_') };
}

describe('numbers of the last minute', () => {
  const labels = { pipeline: 'card', stage: 'print' };

  it('tell the rate and the times of what came in between two looks, and not of what was before', () => {
    const looks = [lookAt(0, 1_000, 0), lookAt(20_000, 1_000, 40)];
    const recent = recentHistogram(looks, name, labels);
    expect([recent.count, recent.perSecond]).toEqual([40, 2]);
    expect(quantileOf(recent, 0.5)).toBeCloseTo(5.5);
  });

  it('say nothing of a rate after one look, and count a stage that was not there before', () => {
    expect(recentHistogram([lookAt(0, 5, 5)], name, labels)).toMatchObject({ count: 0, perSecond: null });
    const looks = [{ at: 0, samples: [] }, lookAt(10_000, 5, 5)];
    expect(recentHistogram(looks, name, labels)).toMatchObject({ count: 10, perSecond: 1 });
    expect(recentHistogram(looks, name, { stage: 'other' })).toMatchObject({ count: 0, perSecond: 0 });
  });

  it('look back over a minute and no longer', () => {
    let looks: readonly MetricLook[] = [];
    for (let at = 0; at <= 300_000; at += 5_000) looks = withLook(looks, lookAt(at, at, 0));
    expect([looks[0]?.at, looks.at(-1)?.at]).toEqual([300_000 - metricWindowMs, 300_000]);
    expect(withLook(looks, lookAt(900_000, 1, 0)).map(({ at }) => at)).toEqual([300_000, 900_000]);
  });
});

describe('what the overview is told', () => {
  const stage = (of: string, count: number): Latencies['stages'][number] => ({
    pipeline: 'card',
    stage: of,
    count,
    failedCount: 1,
    p50Ms: 1,
    p95Ms: count,
    p99Ms: 9,
  });
  const commit = { count: 0, p50Ms: null, p95Ms: null, p99Ms: null };
  const latencies: Latencies = { windowMs: 60_000, commit, stages: [stage('a', 1), stage('b', 30), stage('c', 20)] };
  const frame = {
    statuses: [
      { key: 'running', count: 3 },
      { key: 'queued', count: 2 },
      { key: 'backingOff', count: 5 },
    ],
    eventsPerSecond: { 'io.cabinet.task.completed': 4, 'io.cabinet.stage.failed': 0.5 },
    nodes: [{ nodeId: 'n-1', loopLagMs: 12 }],
    latencies,
  };

  it('is drawn as counts, rates and times, and what has no event is 0', () => {
    expect(sampleOf(overviewOf(frame), [10, 20, 30], 77)).toEqual({
      at: 77,
      running: 3,
      waiting: 7,
      completedPerSecond: 4,
      givenUpPerSecond: 0,
      failedPerSecond: 0.5,
      lagMs: new Map([['n-1', 12]]),
      stageP95Ms: new Map([
        ['card / a', 1],
        ['card / b', 30],
        ['card / c', 20],
      ]),
      p50Ms: 20,
      p95Ms: 30,
      p99Ms: 30,
    });
    const early = overviewOf({ ...frame, eventsPerSecond: null });
    expect([early.completedPerSecond, early.failedPerSecond]).toEqual([null, null]);
    const without = sampleOf(overviewOf({ ...frame, latencies: null }), [], 1);
    expect([without.stageP95Ms.size, without.p95Ms]).toEqual([0, null]);
  });

  it('has a line for the busiest stages alone, in their own order', () => {
    expect(busiestStages(latencies, 2).map((one) => one.stage)).toEqual(['b', 'c']);
    expect(busiestStages(null, 2)).toEqual([]);
  });
});
