import type { Latencies, StageLatency, TaskGroup } from '../api/types.ts';
import { rankOf } from './rates.ts';

/** What the topic `overview` tells. */
export interface OverviewFrame {
  readonly statuses: readonly TaskGroup[];
  /** Null before a whole second was watched. */
  readonly eventsPerSecond: Readonly<Record<string, number>> | null;
  readonly nodes: readonly { readonly nodeId: string; readonly loopLagMs: number | null }[];
  /** Null: the server measures none. */
  readonly latencies: Latencies | null;
}

/** The engine at one moment, as the overview draws it. */
export interface OverviewState {
  readonly counts: ReadonlyMap<string, number>;
  /** Rates are null while nothing tells of them. */
  readonly completedPerSecond: number | null;
  readonly givenUpPerSecond: number | null;
  /** Attempts that failed. */
  readonly failedPerSecond: number | null;
  readonly latencies: Latencies | null;
  /** Event-loop lag by node; null of a node that does not tell. */
  readonly lagMs: ReadonlyMap<string, number | null>;
}

/** The state that a frame tells. */
export function overviewOf({ statuses, eventsPerSecond, latencies, nodes }: OverviewFrame): OverviewState {
  const rate = (type: string): number | null => eventsPerSecond && (eventsPerSecond[`io.cabinet.${type}`] ?? 0);
  return {
    counts: countsOf(statuses),
    completedPerSecond: rate('task.completed'),
    givenUpPerSecond: rate('task.dead-lettered'),
    failedPerSecond: rate('stage.failed'),
    latencies,
    lagMs: new Map(nodes.map(({ nodeId, loopLagMs }) => [nodeId, loopLagMs])),
  };
}

/** Counts by status. */
export function countsOf(groups: readonly TaskGroup[]): ReadonlyMap<string, number> {
  return new Map(groups.map(({ key, count }) => [String(key), count]));
}

/** A point of the charts. */
export interface OverviewSample {
  readonly at: number;
  readonly running: number;
  readonly waiting: number;
  readonly completedPerSecond: number | null;
  readonly givenUpPerSecond: number | null;
  readonly failedPerSecond: number | null;
  readonly lagMs: ReadonlyMap<string, number | null>;
  /** By {@link stageKey}. */
  readonly stageP95Ms: ReadonlyMap<string, number | null>;
  /** Of tasks, from submit to end. */
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly p99Ms: number | null;
}

/** The point that a state makes at a moment, with how long the tasks took that ended shortly before, shortest first. */
export function sampleOf(state: OverviewState, latencies: readonly number[], at: number): OverviewSample {
  const { counts, completedPerSecond, givenUpPerSecond, failedPerSecond, lagMs } = state;
  return {
    at,
    running: counts.get('running') ?? 0,
    waiting: (counts.get('queued') ?? 0) + (counts.get('backingOff') ?? 0),
    completedPerSecond,
    givenUpPerSecond,
    failedPerSecond,
    lagMs,
    stageP95Ms: new Map((state.latencies?.stages ?? []).map((stage) => [stageKey(stage), stage.p95Ms])),
    p50Ms: rankOf(latencies, 0.5),
    p95Ms: rankOf(latencies, 0.95),
    p99Ms: rankOf(latencies, 0.99),
  };
}

/** A stage's name where there are several pipelines. */
export function stageKey({ pipeline, stage }: { readonly pipeline: string; readonly stage: string }): string {
  return `${pipeline} / ${stage}`;
}

/** The stages with the most attempts, at most so many, in a fixed order. */
export function busiestStages(latencies: Latencies | null, most: number): readonly StageLatency[] {
  const stages = latencies?.stages ?? [];
  const busiest = stages.toSorted((one, other) => other.count - one.count).slice(0, most);
  return stages.filter((stage) => busiest.includes(stage));
}
