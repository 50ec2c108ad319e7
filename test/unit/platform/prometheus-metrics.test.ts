import { describe, expect, it } from 'vitest';

import { maximumSeries } from '../../../src/platform/metric-family.ts';
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

  it('counts user-made names beyond the bound of series as other, and keeps the words of the engine apart', async () => {
    const metrics = new PrometheusMetrics();
    const tasks = metrics.counter({ name: 'tasks_total', help: 'Tasks', labels: ['pipeline', 'outcome'] });
    for (let index = 0; index < maximumSeries + 10; index += 1) {
      tasks.add(1, { pipeline: `p${index}`, outcome: index % 2 === 0 ? 'completed' : 'canceled' });
    }
    const [family] = await metrics.snapshot();
    const values = (family?.series ?? []).map((one) => ('value' in one ? one.value : Number.NaN));
    expect(values.length).toBe(maximumSeries + 2);
    expect(values.reduce((sum, value) => sum + value, 0)).toBe(maximumSeries + 10);
    expect(family?.series.at(-1)).toEqual({ labels: { pipeline: 'other', outcome: 'canceled' }, value: 5 });
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
