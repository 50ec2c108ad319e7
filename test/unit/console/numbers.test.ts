import { describe, expect, it } from 'vitest';
import type { ClusterStatus, IndexedTask } from '../../../console/src/api/types.ts';
import { changesBetween } from '../../../console/src/model/cluster-changes.ts';
import { showInstant } from '../../../console/src/model/instants.ts';
import { histogramOf, readMetrics } from '../../../console/src/model/metrics-text.ts';
import { endedBuckets, latenciesOf, rankOf } from '../../../console/src/model/rates.ts';
import { movingShards, ownerColors } from '../../../console/src/model/shard-words.ts';
import { showBytes, showCount, showRate, showSmallCount } from '../../../console/src/model/sizes.ts';
import { quantileOf } from '../../../src/core/histogram.ts';

function ended(submittedAt: number, endedAt: number | null): IndexedTask {
  return { submittedAt, endedAt } as unknown as IndexedTask;
}

describe('numbers of the page', () => {
  it('ranks are values that there are, and null for none', () => {
    const sorted = latenciesOf([ended(0, 30), ended(0, 10), ended(5, 25), ended(0, null)]);
    expect(sorted).toEqual([10, 20, 30]);
    expect([rankOf(sorted, 0.5), rankOf(sorted, 0.95), rankOf([], 0.5)]).toEqual([20, 30, null]);
  });

  it('counts ended tasks by pieces of time, and says nothing of the time before a list that was cut off', () => {
    const tasks = [ended(0, 9_500), ended(8_000, 9_000), ended(0, 6_000)];
    const options = { now: 10_000, bucketMs: 2_000, count: 3 };
    expect(endedBuckets(tasks, { ...options, isCutOff: false })).toEqual([
      { at: 5_000, endedPerSecond: 0, p50Ms: null, p95Ms: null, p99Ms: null },
      { at: 7_000, endedPerSecond: 0.5, p50Ms: 6_000, p95Ms: 6_000, p99Ms: 6_000 },
      { at: 9_000, endedPerSecond: 1, p50Ms: 1_000, p95Ms: 9_500, p99Ms: 9_500 },
    ]);
    expect(endedBuckets(tasks, { ...options, isCutOff: true }).map(({ at }) => at)).toEqual([7_000, 9_000]);
  });

  it('reads histograms of a metrics text, over all their series', () => {
    const text = [
      '# HELP cabinet_stage_duration_seconds x',
      'cabinet_stage_duration_seconds_bucket{pipeline="a",stage="s",outcome="completed",le="0.1"} 5',
      'cabinet_stage_duration_seconds_bucket{pipeline="a",stage="s",outcome="completed",le="+Inf"} 10',
      'cabinet_stage_duration_seconds_bucket{pipeline="a",stage="s",outcome="failed",le="0.1"} 5',
      'cabinet_stage_duration_seconds_bucket{pipeline="a",stage="s",outcome="failed",le="+Inf"} 5',
      'cabinet_stage_duration_seconds_count{pipeline="a",stage="s",outcome="completed"} 10',
      'cabinet_stage_duration_seconds_count{pipeline="a",stage="s",outcome="failed"} 5',
      'cabinet_stage_duration_seconds_count{pipeline="b",stage="s",outcome="failed"} 7',
      'cabinet_other 1',
      'cabinet_stage_label{name="a\\"b\\\\c\\nd"} 1 1700000000',
      'cabinet_stage_broken{',
    ].join('\n');
    const samples = readMetrics(text, 'cabinet_stage_');
    expect(samples).toHaveLength(8);
    expect(samples.at(-1)?.labels).toEqual({ name: 'a"b\\c\nd' });
    const histogram = histogramOf(samples, 'cabinet_stage_duration_seconds', { pipeline: 'a', stage: 's' });
    expect(histogram).toMatchObject({
      count: 15,
      buckets: [
        { upTo: 0.1, count: 10 },
        { upTo: Number.POSITIVE_INFINITY, count: 15 },
      ],
    });
    expect(quantileOf(histogram, 0.5)).toBeCloseTo(0.075);
    expect(quantileOf(histogram, 0.95)).toBe(0.1);
    expect(quantileOf(histogramOf(samples, 'none', {}), 0.5)).toBeNull();
  });

  it('writes counts, rates, sizes and instants in one way', () => {
    expect([showCount(1_234_567), showSmallCount(999), showSmallCount(12_345), showSmallCount(3_000_000)]).toEqual([
      '1\u202f234\u202f567',
      '999',
      '12k',
      '3M',
    ]);
    expect([showRate(0), showRate(0.016), showRate(12.34), showRate(1_240)]).toEqual([
      '0',
      '0.02',
      '12.3',
      '1\u202f240',
    ]);
    expect([showBytes(12), showBytes(4_300), showBytes(3_145_728)]).toEqual(['12 B', '4.2 KiB', '3.0 MiB']);
    expect(showInstant(1_700_000_000_123, true)).toBe('2023-11-14 22:13:20.123');
  });
});

describe('the cluster in words', () => {
  const look = (nodes: unknown, shards: unknown): ClusterStatus => ({ nodes, shards }) as unknown as ClusterStatus;
  const node = (nodeId: string, status = 'up', incarnation = 'a'): unknown => ({ nodeId, status, incarnation });

  it('tells nodes that came, went, restarted or changed, and shards of one way together', () => {
    const before = look(
      [node('n-1'), node('n-2'), node('n-3')],
      [0, 1, 2].map((shard) => ({ shard, from: 'n-1' })),
    );
    const after = look(
      [node('n-1', 'down'), node('n-2', 'up', 'b'), node('n-4')],
      [0, 1, 2].map((shard) => ({ shard, from: shard === 2 ? null : 'n-2' })),
    );
    expect(changesBetween(before, after, 5).map(({ text }) => text)).toEqual([
      'n-1 is down, was up',
      'n-2 started again',
      'n-4 joined',
      'n-3 left',
      '2 shards: n-1 → n-2',
      'shard 2: n-1 → nobody',
    ]);
    expect(changesBetween(after, after, 5)).toEqual([]);
  });

  it('gives each owner a color by its name, and finds the shards that will move', () => {
    expect([...ownerColors(['n-2', 'n-1', 'n-2'])]).toEqual([
      ['n-1', 0],
      ['n-2', 1],
    ]);
    const rows = ['settled', 'misplaced', 'kept', 'orphaned', 'free', 'stranded'].map((kind) => ({ kind }));
    expect(movingShards(rows as never).map(({ kind }) => kind)).toEqual(['misplaced', 'orphaned', 'free']);
  });
});
