import { shardOf } from '../../src/core/hash.ts';
import type { TaskId } from '../../src/core/ids.ts';
import type { JournalEntry } from '../../src/ports/journal.ts';
import type { LoadFigures } from './load-figures.ts';
import { machineMs } from './monotonic.ts';

/** An acceptance that was given before the outage may take so long to reach its caller. */
const onTheWayMs = 250;

/** A time in which no server, or no majority of them, was there. */
export interface Outage {
  readonly fromMs: number;
  readonly from: number;
  readonly toMs: number;
  readonly to: number;
  /** When the servers said that they were ready again. */
  readonly healedMs: number;
}

/** What happened in outages that must not happen, and how soon it went on after them. */
export interface OutageReport {
  readonly acceptedInOutage: number;
  readonly committedInOutage: number;
  /** From the servers' readiness to the next acceptance, of each outage. */
  readonly resumeMs: readonly number[];
}

/** Notes an outage: from now until `end`. */
export function beginOutage(): { readonly end: () => { readonly healed: () => Outage } } {
  const begin = { fromMs: machineMs() + onTheWayMs, from: Date.now() + onTheWayMs };
  return {
    end: () => {
      const end = { toMs: machineMs(), to: Date.now() };
      return { healed: () => ({ ...begin, ...end, healedMs: machineMs() }) };
    },
  };
}

/** Looks into the outages (I44): nothing may be accepted or committed in one. Pure. */
export function reportOutages(
  outages: readonly Outage[],
  load: LoadFigures,
  entries: readonly JournalEntry[],
): OutageReport {
  const accepts = load.accepted.map(([, atMs]) => atMs).toSorted((left, right) => left - right);
  const during = (outage: Outage): number =>
    accepts.filter((atMs) => atMs > outage.fromMs && atMs < outage.toMs).length;
  const stored = (outage: Outage): number =>
    entries.filter(({ storedAt }) => storedAt > outage.from && storedAt < outage.to).length;
  return {
    acceptedInOutage: outages.reduce((sum, outage) => sum + during(outage), 0),
    committedInOutage: outages.reduce((sum, outage) => sum + stored(outage), 0),
    resumeMs: outages.flatMap(({ toMs, healedMs }) => {
      const next = accepts.find((atMs) => atMs >= toMs);
      return next === undefined ? [] : [Math.max(0, next - healedMs)];
    }),
  };
}

/** The longest time between two acceptances, over all shards or of the shard for which it was longest. */
export function longestAcceptGapMs(load: Pick<LoadFigures, 'accepted'>, shardCount = 1): number {
  const shards = Array.from({ length: shardCount }, (_, shard) => shard);
  const ofShard = (shard: number): LoadFigures['accepted'] =>
    load.accepted.filter(([taskId]) => shardOf(taskId as TaskId, shardCount) === shard);
  return Math.max(...shards.map((shard) => longestGapMs(ofShard(shard))));
}

function longestGapMs(accepted: LoadFigures['accepted']): number {
  const accepts = accepted.map(([, atMs]) => atMs).toSorted((left, right) => left - right);
  return Math.round(Math.max(0, ...accepts.slice(1).map((atMs, index) => atMs - (accepts[index] ?? atMs))));
}
