import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { get } from '../api/http.ts';
import type { Latencies, ClusterStatus, IndexedTask, TaskGroup } from '../api/types.ts';
import { useLive } from '../live.ts';
import { clusterTopic, countsTopic, overviewTopic } from '../live/topics.ts';
import { changesBetween, type ClusterChange } from '../model/cluster-changes.ts';
import { showDuration } from '../model/durations.ts';
import {
  busiestStages,
  countsOf,
  sampleOf,
  stageKey,
  type OverviewSample,
  type OverviewState,
} from '../model/overview-state.ts';
import { endedBuckets, latenciesOf, rankOf } from '../model/rates.ts';
import { showCount, showRate } from '../model/sizes.ts';
import { activeStatuses, statusNames, taskStatuses } from '../model/task-words.ts';
import { Chart, type ChartLine } from '../parts/chart.tsx';
import { Empty, Loaded, Panel, Screen } from '../parts/screen.tsx';
import { StatusBadge } from '../parts/status-badge.tsx';
import { Instant } from '../parts/time.tsx';

/** What ended of late, of one moment. */
interface Past {
  readonly at: number;
  readonly endedLastMinute: number;
  readonly diedLastMinute: number;
  /** Tasks that completed last, the newest first. */
  readonly completed: readonly IndexedTask[];
  readonly died: readonly IndexedTask[];
}

const everyMs = 2_000;
const pastEveryMs = 5_000;
/** The last minute moves on also while nothing happens. */
const pastRefreshMs = 15_000;
const sampleEveryMs = 1_000;
/** What a point of a chart tells of. */
const windowMs = 10_000;
const bucketMs = 15_000;
const bucketCount = 40;
const completedSize = 500;
const deadSize = 100;
const maximumSamples = 300;
const maximumChanges = 50;
const lineColors = ['--accent', '--good', '--warn', '--held', '--bad'] as const;

/** What the topic tells, for where there is no socket. */
async function loadState(signal: AbortSignal): Promise<OverviewState> {
  const lately = { updatedFrom: Date.now() - windowMs };
  const countOf = async (status: string): Promise<number> =>
    (await get<{ readonly count: number }>('/api/tasks/count', { statuses: [status], ...lately }, signal)).count;
  const [{ groups }, ended, died] = await Promise.all([
    get<{ readonly groups: readonly TaskGroup[] }>('/api/tasks/groups', { by: 'status' }, signal),
    countOf('completed'),
    countOf('deadLettered'),
  ]);
  return {
    counts: countsOf(groups),
    completedPerSecond: (1_000 * ended) / windowMs,
    givenUpPerSecond: (1_000 * died) / windowMs,
    failedPerSecond: null,
    latencies: null,
    lagMs: new Map(),
  };
}

async function loadPast(signal: AbortSignal): Promise<Past> {
  const at = Date.now();
  const newest = { sortBy: 'endedAt', descending: true } as const;
  const lastMinute = { updatedFrom: at - 60_000 };
  const tasksOf = async (status: string, limit: number): Promise<readonly IndexedTask[]> =>
    (
      await get<{ readonly tasks: readonly IndexedTask[] }>(
        '/api/tasks',
        { statuses: [status], ...newest, limit },
        signal,
      )
    ).tasks;
  const countOf = async (status: string): Promise<number> =>
    (await get<{ readonly count: number }>('/api/tasks/count', { statuses: [status], ...lastMinute }, signal)).count;
  const [ended, died, completed, dead] = await Promise.all([
    countOf('completed'),
    countOf('deadLettered'),
    tasksOf('completed', completedSize),
    tasksOf('deadLettered', deadSize),
  ]);
  return { at, endedLastMinute: ended, diedLastMinute: died, completed, died: dead };
}

/** Throughput, latency, failures, backlog and nodes, as they are now and have been of late. */
export function OverviewScreen(): JSX.Element {
  const live = useLive({ key: 'overview', everyMs, load: loadState, topic: overviewTopic });
  const past = useLive({
    key: 'overview past',
    everyMs: pastEveryMs,
    load: loadPast,
    topic: { ...countsTopic, gapMs: pastEveryMs, refreshMs: pastRefreshMs },
  });
  const cluster = useLive({
    key: 'overview cluster',
    everyMs,
    load: (signal) => get<ClusterStatus>('/api/cluster', {}, signal),
    topic: clusterTopic,
  });
  const samples = useSamples(live.staleSince === null ? live.data : null, past.data);
  const changes = useChanges(cluster.data);
  return (
    <Screen title="Overview">
      <Loaded live={live}>
        {(now) => (
          <>
            <Tiles now={now} past={past.data} cluster={cluster.data} />
            <Charts past={past.data} samples={samples} latencies={now.latencies} />
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
      {live.data !== null && live.data.latencies !== null && <StageTimes latencies={live.data.latencies} />}
    </Screen>
  );
}

function Tiles(props: {
  readonly now: OverviewState;
  readonly past: Past | null;
  readonly cluster: ClusterStatus | null;
}): JSX.Element {
  const { now, past, cluster } = props;
  const latencies = latenciesOf(past?.completed ?? []);
  const active = activeStatuses.reduce((sum, status) => sum + (now.counts.get(status) ?? 0), 0);
  const waiting = (now.counts.get('queued') ?? 0) + (now.counts.get('backingOff') ?? 0);
  const dead = now.counts.get('deadLettered') ?? 0;
  const up = cluster?.nodes.filter(({ status }) => status !== 'down').length;
  return (
    <dl class="tiles">
      <Tile
        label="Throughput"
        value={now.completedPerSecond === null ? '–' : showRate(now.completedPerSecond)}
        unit="completed per second"
      >
        {past === null ? '–' : showCount(past.endedLastMinute)} in the last minute
      </Tile>
      <Tile label="Latency p95" value={showDuration(rankOf(latencies, 0.95))} unit="submit to end">
        p50 {showDuration(rankOf(latencies, 0.5))} · p99 {showDuration(rankOf(latencies, 0.99))} · last{' '}
        {showCount(latencies.length)}
      </Tile>
      <Tile label="Backlog" value={showCount(active)} unit="tasks not ended" href="/tasks?q=status:active">
        {showCount(now.counts.get('running') ?? 0)} running · {showCount(waiting)} waiting
      </Tile>
      <Tile label="Dead letters" value={showCount(dead)} unit="given up" href="/dead-letters" isBad={dead > 0}>
        {past === null ? '–' : showCount(past.diedLastMinute)} in the last minute
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

/** What was before the page opened: told by the tasks that ended last, as far back as they reach. */
function bucketsBefore(past: Past | null, first: number): readonly OverviewSample[] {
  if (past === null) return [];
  const of = (tasks: readonly IndexedTask[], most: number): ReturnType<typeof endedBuckets> =>
    endedBuckets(tasks, { now: first, bucketMs, count: bucketCount, isCutOff: tasks.length >= most }).slice(0, -1);
  const known = of(past.completed, completedSize);
  // An axis that is mostly empty shows little of what there is.
  const start = known.findIndex(({ endedPerSecond }) => endedPerSecond > 0);
  const diedAt = new Map(of(past.died, deadSize).map((bucket) => [bucket.at, bucket.endedPerSecond]));
  return (start === -1 ? [] : known.slice(Math.max(0, start - 1))).map((bucket) => ({
    at: bucket.at,
    running: 0,
    waiting: 0,
    completedPerSecond: bucket.endedPerSecond,
    givenUpPerSecond: diedAt.get(bucket.at) ?? 0,
    failedPerSecond: null,
    lagMs: new Map(),
    stageP95Ms: new Map(),
    p50Ms: bucket.p50Ms,
    p95Ms: bucket.p95Ms,
    p99Ms: bucket.p99Ms,
  }));
}

function line(
  from: readonly OverviewSample[],
  label: string,
  color: string,
  value: (sample: OverviewSample) => number | null | undefined,
  isDashed = false,
): ChartLine {
  return { label, color, isDashed, values: from.map((sample) => value(sample) ?? null) };
}

function times(from: readonly OverviewSample[]): readonly number[] {
  return from.map(({ at }) => at);
}

function Charts(props: {
  readonly past: Past | null;
  readonly samples: readonly OverviewSample[];
  readonly latencies: Latencies | null;
}): JSX.Element {
  const { past, samples, latencies } = props;
  // What was before does not change any more: the tasks that tell of it are pushed out of the list as others end.
  const before = useRef<readonly OverviewSample[] | null>(null);
  if (before.current === null && past !== null) before.current = bucketsBefore(past, samples[0]?.at ?? past.at);
  const all = [...(before.current ?? []), ...samples];
  const stages = useKnownStages(latencies);
  // The first nodes by name: a table below has all of them.
  const nodes = [...(samples.at(-1)?.lagMs.keys() ?? [])].toSorted().slice(0, lineColors.length);
  return (
    <div class="charts">
      <Chart
        title="Ended tasks per second"
        times={times(all)}
        show={showRate}
        lines={[
          line(all, 'completed', '--good', (sample) => sample.completedPerSecond),
          line(all, 'given up', '--bad', (sample) => sample.givenUpPerSecond, true),
        ]}
      />
      <Chart
        title="Latency of completed tasks"
        times={times(all)}
        show={showDuration}
        lines={[
          line(all, 'p50', '--accent', ({ p50Ms }) => p50Ms),
          line(all, 'p95', '--warn', ({ p95Ms }) => p95Ms, true),
          line(all, 'p99', '--bad', ({ p99Ms }) => p99Ms, true),
        ]}
      />
      {stages.length > 0 && (
        <Chart
          title="Latency of stages, p95"
          times={times(samples)}
          show={showDuration}
          lines={stages.map(({ key, label }, index) =>
            line(
              samples,
              label,
              lineColors[index % lineColors.length] ?? '--accent',
              ({ stageP95Ms }) => stageP95Ms.get(key),
              index % 2 === 1,
            ),
          )}
        />
      )}
      <Chart
        title="Failed attempts per second"
        times={times(samples)}
        show={showRate}
        lines={[line(samples, 'failed', '--bad', ({ failedPerSecond }) => failedPerSecond)]}
      />
      <Chart
        title="Backlog"
        times={times(samples)}
        show={showCount}
        lines={[
          line(samples, 'running', '--accent', ({ running }) => running),
          line(samples, 'waiting', '--warn', ({ waiting }) => waiting, true),
        ]}
      />
      {nodes.length > 0 && (
        <Chart
          title="Event-loop lag of nodes"
          times={times(samples)}
          show={showDuration}
          lines={nodes.map((nodeId, index) =>
            line(samples, nodeId, lineColors[index] ?? '--accent', ({ lagMs }) => lagMs.get(nodeId), index % 2 === 1),
          )}
        />
      )}
    </div>
  );
}

/** The stages that have a line: once one has, it keeps it, also while it rests. */
function useKnownStages(latencies: Latencies | null): readonly { readonly key: string; readonly label: string }[] {
  const known = useRef<readonly { readonly key: string; readonly label: string }[]>([]);
  const room = lineColors.length - known.current.length;
  const fresh = busiestStages(latencies, lineColors.length)
    .filter((stage) => !known.current.some(({ key }) => key === stageKey(stage)))
    .slice(0, room);
  if (fresh.length > 0) {
    known.current = [...known.current, ...fresh.map((stage) => ({ key: stageKey(stage), label: stage.stage }))];
  }
  return known.current;
}

function StageTimes({ latencies }: { readonly latencies: Latencies }): JSX.Element {
  const { windowMs: spanMs, stages, commit } = latencies;
  const perSecond = (count: number): string => (spanMs === 0 ? '–' : showRate((1_000 * count) / spanMs));
  return (
    <Panel
      title="Stages"
      class="is-bounded"
      aside={
        <span class="quiet">
          attempts of the last {showDuration(spanMs)} · commits p50 {showDuration(commit.p50Ms)}, p99{' '}
          {showDuration(commit.p99Ms)}
        </span>
      }
    >
      {stages.length === 0 ? (
        <Empty>No attempt has ended in that time.</Empty>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Latency of stages">
          <table>
            <thead>
              <tr>
                <th scope="col">Pipeline</th>
                <th scope="col">Stage</th>
                {['Per second', 'Failed', 'p50', 'p95', 'p99'].map((name) => (
                  <th key={name} scope="col" class="number">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {stages.map((stage) => (
                <tr key={stageKey(stage)}>
                  <td class="clip">
                    <a href={`/pipelines/${stage.pipeline}`}>{stage.pipeline}</a>
                  </td>
                  <td class="clip">{stage.stage}</td>
                  <td class="number">{perSecond(stage.count)}</td>
                  <td class="number">
                    {stage.failedCount === 0 ? '0' : `${((100 * stage.failedCount) / stage.count).toFixed(1)} %`}
                  </td>
                  <td class="number">{showDuration(stage.p50Ms)}</td>
                  <td class="number">{showDuration(stage.p95Ms)}</td>
                  <td class="number">{showDuration(stage.p99Ms)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
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

/** One point a second of what is so, as long as it is fresh. */
function useSamples(state: OverviewState | null, past: Past | null): readonly OverviewSample[] {
  const newest = useRef({ state, past });
  newest.current = { state, past };
  const [samples, setSamples] = useState<readonly OverviewSample[]>([]);
  const isKnown = state !== null;
  useEffect(() => {
    if (!isKnown) return undefined;
    const take = (): void => {
      const { state: now, past: before } = newest.current;
      if (now === null || document.hidden) return;
      const since = (before?.at ?? 0) - windowMs;
      const latencies = latenciesOf((before?.completed ?? []).filter(({ endedAt }) => (endedAt ?? 0) >= since));
      const sample = sampleOf(now, latencies, Date.now());
      setSamples((known) => [...known, sample].slice(-maximumSamples));
    };
    take();
    const timer = window.setInterval(take, sampleEveryMs);
    return () => window.clearInterval(timer);
  }, [isKnown]);
  return samples;
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
