import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { MetricJoin } from '../../../src/platform/metric-join.ts';
import { maximumSeries, otherName, type MetricSnapshot } from '../../../src/platform/metric-family.ts';
import { PrometheusMetrics } from '../../../src/platform/prometheus-metrics.ts';
import { metricCatalog } from '../../../src/ports/metric-catalog.ts';

const counterOf = (value: number, labels = {}): MetricSnapshot => ({
  name: 'cabinet_commits_total',
  help: 'Commits',
  kind: 'counter',
  series: [{ labels, value }],
});

const gaugeOf = (name: string, value: number, labels = {}): MetricSnapshot => ({
  name: `cabinet_${name}`,
  help: name,
  kind: 'gauge',
  series: [{ labels, value }],
});

const histogramOf = (buckets: readonly [number, number][], count: number): MetricSnapshot => ({
  name: 'cabinet_commit_duration_seconds',
  help: 'Time',
  kind: 'histogram',
  series: [
    { labels: {}, count, sum: count, buckets: buckets.map(([upTo, upToCount]) => ({ upTo, count: upToCount })) },
  ],
});

/** The lines of a scrape as values by name and labels. */
function read(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

describe('MetricJoin', () => {
  it('sums counters over the slots', () => {
    const join = new MetricJoin();
    join.update(0, 1, [counterOf(3)], 0);
    join.update(1, 1, [counterOf(4)], 0);
    expect(read(join.render(0)).get('cabinet_commits_total')).toBe(7);
  });

  it('keeps what a dead process had counted, under its successor and without one', () => {
    const join = new MetricJoin();
    join.update(0, 1, [counterOf(3)], 0);
    join.ended(0, 1, [counterOf(5)]);
    expect(read(join.render(0)).get('cabinet_commits_total')).toBe(5);
    join.update(0, 2, [counterOf(1)], 0);
    expect(read(join.render(0)).get('cabinet_commits_total')).toBe(6);
  });

  it('ignores late numbers of a dead process, also when its end was never told', () => {
    const join = new MetricJoin();
    join.update(0, 1, [counterOf(3)], 0);
    join.update(0, 2, [counterOf(1)], 0);
    join.update(0, 1, [counterOf(100)], 0);
    join.ended(0, 1, [counterOf(100)]);
    expect(read(join.render(0)).get('cabinet_commits_total')).toBe(4);
    join.ended(0, 2);
    join.update(0, 2, [counterOf(50)], 0);
    expect(read(join.render(0)).get('cabinet_commits_total')).toBe(4);
  });

  it('keeps the numbers of a frozen process and shows how old they are', () => {
    const join = new MetricJoin();
    join.update(0, 1, [counterOf(3), gaugeOf('running_stages', 2)], 1_000);
    const scrape = read(join.render(31_500));
    expect(scrape.get('cabinet_running_stages')).toBe(2);
    expect(scrape.get('cabinet_worker_snapshot_age_seconds{slot="0"}')).toBe(30.5);
    expect(scrape.get('cabinet_worker_up{slot="0"}')).toBe(1);
  });

  it('shows a dead slot as down, without its gauges and without an age', () => {
    const join = new MetricJoin();
    join.update(0, 1, [gaugeOf('running_stages', 2)], 0);
    join.update(1, 1, [gaugeOf('running_stages', 3)], 0);
    join.ended(0, 1);
    const scrape = read(join.render(0));
    expect(scrape.get('cabinet_running_stages')).toBe(3);
    expect(scrape.get('cabinet_worker_up{slot="0"}')).toBe(0);
    expect(scrape.has('cabinet_worker_snapshot_age_seconds{slot="0"}')).toBe(false);
    join.started(0, 2);
    expect(read(join.render(0)).get('cabinet_worker_up{slot="0"}')).toBe(1);
  });

  it('joins gauges by the rule of the catalog: depth by sum, lag by the worst, a description once', () => {
    const join = new MetricJoin();
    for (const slot of [0, 1]) {
      const build = gaugeOf('build_info', 1, { version: '1', nodejs: '20' });
      join.update(slot, 1, [gaugeOf('mailbox_depth', 2), gaugeOf('snapshot_lag_seconds', slot + 1), build], 0);
    }
    const scrape = read(join.render(0));
    expect(scrape.get('cabinet_mailbox_depth')).toBe(4);
    expect(scrape.get('cabinet_snapshot_lag_seconds')).toBe(2);
    expect(scrape.get('cabinet_build_info{version="1",nodejs="20"}')).toBe(1);
  });

  it('adds histograms up, also of processes with other bounds, and stays cumulative', () => {
    const join = new MetricJoin();
    join.update(0, 1, [histogramOf([[1, 2], [5, 3]], 4)], 0); // prettier-ignore
    join.update(1, 1, [histogramOf([[1, 1], [2, 2], [5, 2]], 2)], 0); // prettier-ignore
    const scrape = read(join.render(0));
    const bounds = ['1', '2', '5', '+Inf'].map((upTo) =>
      scrape.get(`cabinet_commit_duration_seconds_bucket{le="${upTo}"}`),
    );
    expect(bounds).toEqual([3, 4, 5, 6]);
    expect(scrape.get('cabinet_commit_duration_seconds_count')).toBe(6);
  });

  it('joins the own numbers of the supervisor as those of one more process', () => {
    const join = new MetricJoin();
    join.update(0, 1, [counterOf(3)], 0);
    expect(read(join.render(0, [counterOf(4)])).get('cabinet_commits_total')).toBe(7);
    expect(read(join.render(0, [counterOf(4)])).get('cabinet_commits_total')).toBe(7);
  });

  it('lets the supervisor say which of its processes are up, and says it once', () => {
    const join = new MetricJoin();
    join.update(0, 1, [counterOf(3)], 0);
    const text = join.render(0, [gaugeOf('worker_up', 0, { slot: '0' })]);
    expect(text.match(/# TYPE cabinet_worker_up gauge/g)).toHaveLength(1);
    expect(read(text).get('cabinet_worker_up{slot="0"}')).toBe(0);
  });

  it('leaves out what a broken process sends, and keeps the rest', () => {
    const join = new MetricJoin();
    const broken: unknown[] = [
      null,
      'text',
      { ...counterOf(1), name: 'a name\n' },
      { ...counterOf(1), name: 'negative_total', series: [{ labels: {}, value: -1 }] },
      { ...counterOf(1), name: 'nan_total', series: [{ labels: {}, value: Number.NaN }] },
      { ...counterOf(1), name: 'label_total', series: [{ labels: { 'a"b': 'c' }, value: 1 }] },
      { ...counterOf(1), name: 'kind', kind: 'summary' },
      histogramOf([[1, -2]], 4),
      { ...gaugeOf('commits_total', 1) },
    ];
    join.update(0, 1, [counterOf(3)], 0);
    join.update(1, 1, broken, 0);
    const names = [...read(join.render(0)).keys()];
    expect(names).toEqual([
      'cabinet_commits_total',
      'cabinet_worker_snapshot_age_seconds{slot="0"}',
      'cabinet_worker_snapshot_age_seconds{slot="1"}',
      'cabinet_worker_up{slot="0"}',
      'cabinet_worker_up{slot="1"}',
    ]);
  });

  it('writes a label value that would break the line escaped', () => {
    const join = new MetricJoin();
    join.update(0, 1, [counterOf(3, { pipeline: 'a"b\\c\nd' })], 0);
    expect(join.render(0)).toContain('cabinet_commits_total{pipeline="a\\"b\\\\c\\nd"} 3');
  });

  it(`counts names beyond the bound of series as ${otherName}, and loses nothing of the sum`, () => {
    const join = new MetricJoin();
    const many = maximumSeries + 50;
    for (const slot of [0, 1]) {
      const series = Array.from({ length: many }, (_, index) => ({
        labels: { pipeline: `p${slot}-${index}`, outcome: 'completed' },
        value: 1,
      }));
      join.update(slot, 1, [{ ...counterOf(0), series }], 0);
    }
    const values = [...read(join.render(0))].filter(([name]) => name.startsWith('cabinet_commits_total'));
    expect(values.length).toBe(maximumSeries + 1);
    expect(values.reduce((sum, [, value]) => sum + value, 0)).toBe(many * 2);
    expect(values.some(([name]) => name.includes(`pipeline="${otherName}",outcome="completed"`))).toBe(true);
  });

  it('has no more slots than its bound', () => {
    const join = new MetricJoin({ maximumSlots: 2 });
    for (let slot = 0; slot < 10; slot += 1) join.update(slot, 1, [counterOf(1)], 0);
    expect(read(join.render(0)).get('cabinet_commits_total')).toBe(2);
  });

  it('no sum ever goes back, whatever is sent, dies, restarts or comes late', async () => {
    const step = fc.record({
      slot: fc.nat(2),
      what: fc.constantFrom('work', 'work', 'tell', 'tell', 'late', 'die', 'dieSilently', 'lastWords', 'lateEnd'),
      pipeline: fc.constantFrom('a', 'b', 'c'),
      seconds: fc.constantFrom(0.000_1, 0.3, 7, 900),
      buckets: fc.constantFrom(metricCatalog.commitSeconds.buckets, [0.2, 1, 8], [0.5]),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const join = new MetricJoin();
        const lives = [0, 1, 2].map(() => ({ incarnation: 1, metrics: new PrometheusMetrics() }));
        const past: { slot: number; incarnation: number; snapshot: readonly MetricSnapshot[] }[] = [];
        let before = new Map<string, number>();
        for (const { slot, what, pipeline, seconds, buckets } of steps) {
          const life = lives[slot];
          if (life === undefined) throw new Error('no such slot');
          const snapshot = await life.metrics.snapshot();
          past.push({ slot, incarnation: life.incarnation, snapshot });
          const old = past[Math.floor(past.length / 2)];
          if (what === 'work') {
            life.metrics.counter(metricCatalog.tasksAccepted).add(1, { pipeline });
            life.metrics.histogram({ ...metricCatalog.commitSeconds, buckets }).observe(seconds);
            life.metrics.gauge(metricCatalog.mailboxDepth).set(seconds);
          }
          if (what === 'tell') join.update(slot, life.incarnation, snapshot, 0);
          if (what === 'late' && old !== undefined) join.update(old.slot, old.incarnation, old.snapshot, 0);
          if (what === 'lateEnd' && old !== undefined && old.incarnation < (lives[old.slot]?.incarnation ?? 0)) {
            join.ended(old.slot, old.incarnation, old.snapshot);
          }
          if (what === 'die') join.ended(slot, life.incarnation);
          if (what === 'lastWords') join.ended(slot, life.incarnation, snapshot);
          if (what === 'die' || what === 'lastWords' || what === 'dieSilently') {
            lives[slot] = { incarnation: life.incarnation + 1, metrics: new PrometheusMetrics() };
          }
          const now = read(join.render(0));
          for (const [name, value] of before) {
            if (!/_total|_count|_bucket|_sum/.test(name)) continue;
            expect(now.get(name), name).toBeGreaterThanOrEqual(value);
          }
          before = now;
        }
      }),
      { numRuns: 300 },
    );
  });
});
