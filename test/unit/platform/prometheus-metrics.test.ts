import { describe, expect, it } from 'vitest';

import { PrometheusMetrics } from '../../../src/platform/prometheus-metrics.ts';

describe('PrometheusMetrics', () => {
  it('writes the text of a scrape with prefix and process labels', async () => {
    const metrics = new PrometheusMetrics({ labels: { slot: '0' } });
    metrics.counter({ name: 'tasks_total', help: 'Tasks', labels: ['outcome'] }).add(2, { outcome: 'completed' });
    const text = await metrics.text();
    expect(text).toContain('# TYPE cabinet_tasks_total counter');
    expect(text).toContain('cabinet_tasks_total{outcome="completed",slot="0"} 2');
  });

  it('gives a snapshot that survives JSON, histograms with their buckets', async () => {
    const metrics = new PrometheusMetrics();
    const histogram = metrics.histogram({ name: 'commit_seconds', help: 'Time', labels: ['shard'], buckets: [0.1, 1] });
    histogram.observe(0.1, { shard: '1' });
    histogram.observe(5, { shard: '1' });
    const snapshot = await metrics.snapshot();
    expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot);
    expect(snapshot).toEqual([
      {
        name: 'cabinet_commit_seconds',
        help: 'Time',
        kind: 'histogram',
        series: [
          {
            labels: { shard: '1' },
            count: 2,
            sum: 5.1,
            buckets: [
              { upTo: 0.1, count: 1 },
              { upTo: 1, count: 1 },
            ],
          },
        ],
      },
    ]);
  });

  it('keeps two instances apart', async () => {
    const first = new PrometheusMetrics();
    const second = new PrometheusMetrics();
    first.counter({ name: 'tasks_total', help: 'Tasks' }).add();
    expect(await second.text()).not.toContain('cabinet_tasks_total');
  });

  it('adds the numbers of the process when asked to', async () => {
    const metrics = new PrometheusMetrics({ processMetrics: true });
    expect(await metrics.text()).toContain('cabinet_nodejs_eventloop_lag_seconds');
  });
});
