import { describe, expect, it } from 'vitest';

import { bucketSettings, findDeviation } from '../../../src/store/buckets.ts';

const wanted = bucketSettings({ namespace: 'cabinet', replicas: 3 });
const nodes = wanted.find(({ name }) => name === 'KV_cabinet-nodes') ?? { name: 'missing' };

describe('bucket settings', () => {
  it('every bucket of the engine is there under its own name', () => {
    expect(wanted.map(({ name }) => name)).toEqual([
      'KV_cabinet-snapshots',
      'KV_cabinet-nodes',
      'KV_cabinet-shards',
      'KV_cabinet-dead-letters',
      'OBJ_cabinet-payloads',
    ]);
  });

  it('only the node bucket leaves markers, and byte limits go to the bucket they are for', () => {
    expect(wanted.filter((settings) => 'subject_delete_marker_ttl' in settings)).toEqual([nodes]);
    const limited = bucketSettings({ namespace: 'cabinet', replicas: 1, maximumBytes: { blobs: 5 } });
    expect(limited.map((settings) => settings['max_bytes'])).toEqual([-1, -1, -1, -1, 5]);
  });
});

describe('deviations of an existing stream', () => {
  it('what the server leaves out because it is false or zero is no deviation', () => {
    const { deny_purge: _purge, max_age: _age, ...found } = nodes as Record<string, unknown>;
    expect(findDeviation(nodes, found)).toBeNull();
  });

  it('more replicas and another byte limit are the operator’s business', () => {
    expect(findDeviation(nodes, { ...nodes, num_replicas: 5, max_bytes: 1_000 })).toBeNull();
  });

  it.each([
    ['num_replicas', 1],
    ['discard', 'old'],
    ['storage', 'memory'],
    ['max_msgs_per_subject', 2],
    ['max_age', 60_000_000_000],
    ['allow_msg_ttl', undefined],
    ['subject_delete_marker_ttl', undefined],
    ['allow_rollup_hdrs', false],
    ['deny_purge', true],
    ['subjects', ['$KV.other.>']],
    ['sealed', true],
    ['mirror', { name: 'other' }],
    ['persist_mode', 'async'],
  ])('%s %j is found', (setting, value) => {
    expect(findDeviation(nodes, { ...nodes, [setting]: value })).toMatchObject({ setting, found: value });
  });
});
