import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { get } from '../api/http.ts';
import type { ClusterStatus, IndexedTask, TaskGroup } from '../api/types.ts';
import { useLive } from '../live.ts';
import { changesBetween, type ClusterChange } from '../model/cluster-changes.ts';
import { showDuration } from '../model/durations.ts';
import { endedBuckets, latenciesOf, rankOf } from '../model/rates.ts';
import { showCount, showRate } from '../model/sizes.ts';
import { activeStatuses, statusNames, taskStatuses } from '../model/task-words.ts';
import { Chart } from '../parts/chart.tsx';
import { Empty, Loaded, Panel, Screen } from '../parts/screen.tsx';
import { StatusBadge } from '../parts/status-badge.tsx';
import { Instant } from '../parts/time.tsx';

/** What the overview is made of, of one moment. */
interface Look {
  readonly at: number;
  readonly counts: ReadonlyMap<string, number>;
  readonly endedLastMinute: number;
  readonly diedLastMinute: number;
  /** Of the last {@link windowMs}. */
  readonly endedLately: number;
  readonly diedLately: number;
  /** Tasks that completed last, the newest first. */
  readonly completed: readonly IndexedTask[];
  readonly died: readonly IndexedTask[];
}

const everyMs = 2_000;
/** What a point of a chart tells of. */
const windowMs = 10_000;
const bucketMs = 15_000;
const bucketCount = 40;
const sampleSize = 500;
const deadSampleSize = 100;
const maximumSamples = 300;
const maximumChanges = 50;

async function look(signal: AbortSignal): Promise<Look> {
  const at = Date.now();
  const newest = { sortBy: 'endedAt', descending: true } as const;
  const lastMinute = { updatedFrom: at - 60_000 };
  const lately = { updatedFrom: at - windowMs };
  const [groups, ended, died, endedLately, diedLately, completed, dead] = await Promise.all([
    get<{ readonly groups: readonly TaskGroup[] }>('/api/tasks/groups', { by: 'status' }, signal),
    get<{ readonly count: number }>('/api/tasks/count', { statuses: ['completed'], ...lastMinute }, signal),
    get<{ readonly count: number }>('/api/tasks/count', { statuses: ['deadLettered'], ...lastMinute }, signal),
    get<{ readonly count: number }>('/api/tasks/count', { statuses: ['completed'], ...lately }, signal),
    get<{ readonly count: number }>('/api/tasks/count', { statuses: ['deadLettered'], ...lately }, signal),
    get<{ readonly tasks: readonly IndexedTask[] }>(
      '/api/tasks',
      { statuses: ['completed'], ...newest, limit: sampleSize },
      signal,
    ),
    get<{ readonly tasks: readonly IndexedTask[] }>(
      '/api/tasks',
      { statuses: ['deadLettered'], ...newest, limit: deadSampleSize },
      signal,
    ),
  ]);
  return {
    at,
    counts: new Map(groups.groups.map(({ key, count }) => [String(key), count])),
    endedLastMinute: ended.count,
    diedLastMinute: died.count,
    endedLately: endedLately.count,
    diedLately: diedLately.count,
    completed: completed.tasks,
    died: dead.tasks,
  };
}

/** Throughput, latency, failures, backlog and nodes, as they are now and have been of late. */
export function OverviewScreen(): JSX.Element {
  const live = useLive({ key: 'overview', everyMs, load: look });
  const cluster = useLive({
    key: 'overview cluster',
    everyMs,
    load: (signal) => get<ClusterStatus>('/api/cluster', {}, signal),
  });
  const samples = useSamples(live.data);
  const changes = useChanges(cluster.data);
  return (
    <Screen title="Overview">
      <Loaded live={live}>
        {(now) => (
          <>
            <Tiles now={now} cluster={cluster.data} />
            <Charts now={now} samples={samples} />
          </>
        )}
      </Loaded>
      <div class="columns">
        <Panel title="Tasks by status" aside={<a href="/tasks">All tasks</a>}>
          {live.data !== null && <Statuses counts={live.data.counts} />}
        </Panel>
        <Panel title="Nodes" aside={<a href="/cluster">Cluster</a>}>
          <Loaded live={cluster}>{(status) => <Nodes status={status} />}</Loaded>
        </Panel>
        <Panel title="What changed" aside={<span class="quiet">since this page opened</span>}>
          <Changes changes={changes} />
        </Panel>
      </div>
    </Screen>
  );
}

function Tiles({ now, cluster }: { readonly now: Look; readonly cluster: ClusterStatus | null }): JSX.Element {
  const latencies = latenciesOf(now.completed);
  const active = activeStatuses.reduce((sum, status) => sum + (now.counts.get(status) ?? 0), 0);
  const waiting = (now.counts.get('queued') ?? 0) + (now.counts.get('backingOff') ?? 0);
  const dead = now.counts.get('deadLettered') ?? 0;
  const up = cluster?.nodes.filter(({ status }) => status !== 'down').length;
  return (
    <dl class="tiles">
      <Tile label="Throughput" value={showRate(now.endedLastMinute / 60)} unit="completed per second">
        {showCount(now.endedLastMinute)} in the last minute
      </Tile>
      <Tile label="Latency p95" value={showDuration(rankOf(latencies, 0.95))} unit="submit to end">
        p50 {showDuration(rankOf(latencies, 0.5))} · p99 {showDuration(rankOf(latencies, 0.99))} · last{' '}
        {showCount(latencies.length)}
      </Tile>
      <Tile label="Backlog" value={showCount(active)} unit="tasks not ended" href="/tasks?q=status:active">
        {showCount(now.counts.get('running') ?? 0)} running · {showCount(waiting)} waiting
      </Tile>
      <Tile label="Dead letters" value={showCount(dead)} unit="given up" href="/dead-letters" isBad={dead > 0}>
        {showCount(now.diedLastMinute)} in the last minute
      </Tile>
      <Tile
        label="Nodes"
        value={cluster === null ? '–' : `${up} / ${cluster.nodes.length}`}
        unit="up"
        href="/cluster"
        isBad={cluster !== null && up !== cluster.nodes.length}
      >
        {cluster === null ? '' : cluster.isBalanced ? 'every shard where it should be' : moving(cluster)}
      </Tile>
    </dl>
  );
}

function moving({ moves, takeovers, free }: ClusterStatus): string {
  const parts = [
    [moves, 'to move'],
    [takeovers, 'to take over'],
    [free, 'free'],
  ] as const;
  const told = parts.flatMap(([count, word]) => (count === 0 ? [] : [`${count} ${word}`]));
  return told.length === 0 ? 'shards wait for a node' : `shards: ${told.join(', ')}`;
}

function Tile(props: {
  readonly label: string;
  readonly value: string;
  readonly unit: string;
  readonly href?: string;
  readonly isBad?: boolean;
  readonly children?: ComponentChildren;
}): JSX.Element {
  const { label, value, unit, href, isBad, children } = props;
  return (
    <div class={`tile ${isBad === true ? 'is-bad' : ''}`}>
      <dt>{href === undefined ? label : <a href={href}>{label}</a>}</dt>
      <dd>
        <span class="big">{value}</span> <span class="quiet">{unit}</span>
        <div class="quiet">{children}</div>
      </dd>
    </div>
  );
}

function Charts({ now, samples }: { readonly now: Look; readonly samples: readonly Sample[] }): JSX.Element {
  const first = samples[0]?.at ?? now.at;
  // What was before the page opened is told by the tasks that ended last, as far back as they reach.
  const before = (tasks: readonly IndexedTask[], most: number): ReturnType<typeof endedBuckets> =>
    endedBuckets(tasks, { now: first, bucketMs, count: bucketCount, isCutOff: tasks.length >= most }).slice(0, -1);
  const known = before(now.completed, sampleSize);
  // An axis that is mostly empty shows little of what there is.
  const start = known.findIndex(({ endedPerSecond }) => endedPerSecond > 0);
  const buckets = start === -1 ? [] : known.slice(Math.max(0, start - 1));
  const diedAt = new Map(before(now.died, deadSampleSize).map((bucket) => [bucket.at, bucket.endedPerSecond]));
  const times = [...buckets.map(({ at }) => at), ...samples.map(({ at }) => at)];
  return (
    <div class="charts">
      <Chart
        title="Ended tasks per second"
        times={times}
        show={showRate}
        lines={[
          {
            label: 'completed',
            color: '--good',
            values: [...buckets, ...samples].map(({ endedPerSecond }) => endedPerSecond),
          },
          {
            label: 'given up',
            color: '--bad',
            isDashed: true,
            values: [
              ...buckets.map(({ at }) => diedAt.get(at) ?? null),
              ...samples.map(({ diedPerSecond }) => diedPerSecond),
            ],
          },
        ]}
      />
      <Chart
        title="Latency of completed tasks"
        times={times}
        show={showDuration}
        lines={[
          { label: 'p50', color: '--accent', values: [...buckets, ...samples].map(({ p50Ms }) => p50Ms) },
          { label: 'p95', color: '--warn', isDashed: true, values: [...buckets, ...samples].map(({ p95Ms }) => p95Ms) },
        ]}
      />
      <Chart
        title="Backlog"
        times={samples.map(({ at }) => at)}
        show={showCount}
        lines={[
          { label: 'running', color: '--accent', values: samples.map(({ running }) => running) },
          { label: 'waiting', color: '--warn', isDashed: true, values: samples.map(({ waiting }) => waiting) },
        ]}
      />
    </div>
  );
}

function Statuses({ counts }: { readonly counts: ReadonlyMap<string, number> }): JSX.Element {
  return (
    <table class="plain-table">
      <thead class="hidden">
        <tr>
          <th scope="col">Status</th>
          <th scope="col">Tasks</th>
        </tr>
      </thead>
      <tbody>
        {taskStatuses.map((status) => (
          <tr key={status}>
            <td>
              <a href={`/tasks?q=status:${status}`} aria-label={`Tasks: ${statusNames[status]}`}>
                <StatusBadge status={status} />
              </a>
            </td>
            <td class="number">{showCount(counts.get(status) ?? 0)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Nodes({ status }: { readonly status: ClusterStatus }): JSX.Element {
  if (status.nodes.length === 0) return <Empty>No node has a lease.</Empty>;
  return (
    <table class="plain-table">
      <thead>
        <tr>
          <th scope="col">Node</th>
          <th scope="col">State</th>
          <th scope="col" class="number">
            Shards
          </th>
          <th scope="col" class="number">
            Loop lag
          </th>
        </tr>
      </thead>
      <tbody>
        {status.nodes.map((node) => (
          <tr key={node.nodeId}>
            <td class="clip">{node.nodeId}</td>
            <td>
              <span class={`state node-${node.status}`}>{node.status}</span>
            </td>
            <td class="number">
              {node.owned}
              {node.owned === node.desired ? '' : ` → ${node.desired}`}
            </td>
            <td class="number">{showDuration(node.loopLagMs)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Changes({ changes }: { readonly changes: readonly ClusterChange[] }): JSX.Element {
  if (changes.length === 0) return <Empty>No node and no shard has changed its place.</Empty>;
  return (
    <ol class="feed">
      {changes.map((change) => (
        <li key={`${change.at} ${change.text}`}>
          <Instant at={change.at} /> {change.text}
        </li>
      ))}
    </ol>
  );
}

/** What one look adds to the charts. */
interface Sample {
  readonly at: number;
  readonly running: number;
  readonly waiting: number;
  readonly endedPerSecond: number;
  readonly diedPerSecond: number;
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
}

function sampleOf({ at, counts, endedLately, diedLately, completed }: Look): Sample {
  const latencies = latenciesOf(completed.filter(({ endedAt }) => (endedAt ?? 0) >= at - windowMs));
  return {
    at,
    running: counts.get('running') ?? 0,
    waiting: (counts.get('queued') ?? 0) + (counts.get('backingOff') ?? 0),
    endedPerSecond: (1_000 * endedLately) / windowMs,
    diedPerSecond: (1_000 * diedLately) / windowMs,
    p50Ms: rankOf(latencies, 0.5),
    p95Ms: rankOf(latencies, 0.95),
  };
}

function useSamples(data: Look | null): readonly Sample[] {
  const samples = useRef<readonly Sample[]>([]);
  if (data !== null && samples.current.at(-1)?.at !== data.at) {
    samples.current = [...samples.current, sampleOf(data)].slice(-maximumSamples);
  }
  return samples.current;
}

function useChanges(status: ClusterStatus | null): readonly ClusterChange[] {
  const before = useRef<ClusterStatus | null>(null);
  const [changes, setChanges] = useState<readonly ClusterChange[]>([]);
  useEffect(() => {
    if (status === null) return;
    const found = before.current === null ? [] : changesBetween(before.current, status, Date.now());
    before.current = status;
    if (found.length > 0) setChanges((known) => [...found, ...known].slice(0, maximumChanges));
  }, [status]);
  return changes;
}
