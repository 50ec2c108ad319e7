import { describe, expect, it } from 'vitest';
import { LatencyWindow, maximumWindowMs } from '../../../src/platform/latency-window.ts';
import { PrometheusMetrics } from '../../../src/platform/prometheus-metrics.ts';
import { metricCatalog } from '../../../src/ports/metric-catalog.ts';

/** Real metrics, so that the window reads what nodes really send. */
function aNode() {
  const metrics = new PrometheusMetrics();
  const stages = metrics.histogram(metricCatalog.stageSeconds);
  const commits = metrics.histogram(metricCatalog.commitSeconds);
  return {
    metrics,
    commit: (seconds: number) => commits.observe(seconds),
    stage: (seconds: number, stage = 'parse', outcome = 'completed') =>
      stages.observe(seconds, { pipeline: 'card', stage, outcome }),
  };
}

describe('LatencyWindow', () => {
  it('knows nothing at its first look', async () => {
    const { metrics, commit } = aNode();
    commit(0.01);
    const { windowMs, commit: times, stages } = new LatencyWindow().take(await metrics.snapshot(), 5_000);
    expect(windowMs).toBe(0);
    expect(times).toEqual({ count: 0, p50Ms: null, p95Ms: null, p99Ms: null });
    expect(stages).toEqual([]);
  });

  it('tells what was observed since the oldest look of the window, failures apart', async () => {
    const { metrics, stage } = aNode();
    const window = new LatencyWindow();
    stage(100);
    window.take(await metrics.snapshot(), 0);
    for (let count = 0; count < 9; count += 1) stage(0.02);
    stage(0.02, 'parse', 'failed');
    stage(2, 'export');
    const { windowMs, stages } = window.take(await metrics.snapshot(), 10_000);
    expect(windowMs).toBe(10_000);
    expect(stages.map(({ stage: name, count, failedCount }) => [name, count, failedCount])).toEqual([
      ['export', 1, 0],
      ['parse', 10, 1],
    ]);
    const parse = stages[1];
    expect(parse?.p50Ms).toBeGreaterThan(1);
    expect(parse?.p99Ms).toBeLessThan(100);
  });

  it('forgets what is older than the window, however often it is asked', async () => {
    const { metrics, stage } = aNode();
    const window = new LatencyWindow();
    stage(1);
    for (let atMs = 0; atMs <= 2 * maximumWindowMs; atMs += 250) window.take(await metrics.snapshot(), atMs);
    const { windowMs, stages } = window.take(await metrics.snapshot(), 2 * maximumWindowMs + 250);
    expect(windowMs).toBeGreaterThanOrEqual(maximumWindowMs - 1_000);
    expect(windowMs).toBeLessThanOrEqual(maximumWindowMs + 1_000);
    expect(stages).toEqual([]);
  });

  it('a time over every bucket is told as the highest bound', async () => {
    const { metrics, commit } = aNode();
    const window = new LatencyWindow();
    window.take(await metrics.snapshot(), 0);
    commit(1_000_000);
    const { commit: times } = window.take(await metrics.snapshot(), 1_000);
    expect(times.count).toBe(1);
    expect(times.p50Ms).toBe(1_000 * Math.max(...metricCatalog.commitSeconds.buckets));
  });
});
