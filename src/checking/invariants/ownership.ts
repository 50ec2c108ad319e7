import type { FaultEvent, ProcessName, ShardCloseEvent, ShardOpenEvent } from '../history-events.ts';
import type { Breach, Invariant } from '../invariant.ts';
import { attemptKey, type Story } from '../story.ts';
import { firstRefusals } from './appends.ts';

/** How long an owner may hold a shard after its first refusal when the history does not say. */
const usualZombieMs = 250;

/** Who served a shard when, and what a node may do that loses one or goes away. */
export const ownershipInvariants: readonly Invariant[] = [
  {
    id: 'I15',
    title: 'a node serves a shard only under an epoch that it has claimed',
    needs: ['journal', 'ownership'],
    *check(story) {
      for (const event of story.eventsOf('shard.opened')) {
        const claim = story.claimOf(event.shard, event.epoch);
        const isOwn = claim?.node === event.node && claim.incarnation === event.incarnation;
        if (isOwn && claim.at <= event.at) continue;
        yield {
          says: `${event.node} serves shard ${event.shard} under epoch ${event.epoch}, ${isOwn ? 'before its claim' : 'which it has not claimed'}`,
          sequences: claim === undefined ? [] : [claim.sequence],
          events: [event],
        };
      }
    },
  },
  {
    id: 'I18',
    title: 'after its first refusal an owner calls no driver for the shard',
    needs: ['journal', 'appends', 'drivers'],
    *check(story) {
      const refusals = new Map(
        firstRefusals(story).map((event) => [`${processOf(event)} ${event.shard}/${event.epoch}`, event]),
      );
      for (const event of story.eventsOf('driver.started')) {
        const refusal = refusals.get(`${processOf(event)} ${event.fence.shard}/${event.fence.epoch}`);
        if (refusal?.answeredAt === undefined || refusal.answeredAt === null || event.at <= refusal.answeredAt)
          continue;
        yield {
          says: `${event.node} called the driver of ${attemptKey(event)} after it had been refused`,
          events: [refusal, event],
        };
      }
    },
  },
  {
    id: 'I18',
    title: 'an owner gives a shard up soon after its first refusal',
    needs: ['journal', 'appends', 'ownership', 'faults'],
    check: checkZombies,
  },
  {
    id: 'I21',
    title: 'a node that drains starts no stage that it had not started before',
    needs: ['journal', 'drivers', 'processes', 'faults'],
    *check(story) {
      const drains = new Map(story.eventsOf('process.draining').map((event) => [processOf(event), event]));
      const skewed = new Set(
        story.eventsOf('fault').flatMap(({ kind, target }) => (kind === 'clockJump' ? [target] : [])),
      );
      for (const event of story.eventsOf('driver.started')) {
        const drain = drains.get(processOf(event));
        const start = story.startOf(event);
        // What was decided when the drain began may still be committed and called.
        if (drain === undefined || start === undefined || start.decidedAt <= drain.at || skewed.has(event.node))
          continue;
        yield {
          says: `${event.node} started ${attemptKey(event)} after it had begun to drain`,
          sequences: [start.sequence],
          events: [drain, event],
        };
      }
    },
  },
  {
    id: 'I21',
    title: 'a node that drained has released every shard that it served, and exits with 0',
    needs: ['ownership', 'processes'],
    *check(story) {
      const held = new Map<string, Map<string, ShardOpenEvent>>();
      for (const event of story.history.events) {
        if (event.type === 'shard.opened') {
          const shards = held.get(processOf(event)) ?? new Map<string, ShardOpenEvent>();
          shards.set(`${event.shard}/${event.epoch}`, event);
          held.set(processOf(event), shards);
        } else if (event.type === 'shard.closed') held.get(processOf(event))?.delete(`${event.shard}/${event.epoch}`);
        else if (event.type === 'process.ended' && event.how === 'drained') {
          if ((event.exitCode ?? 0) !== 0)
            yield { says: `${event.node} drained and ended with ${event.exitCode}`, events: [event] };
          for (const opened of held.get(processOf(event))?.values() ?? []) {
            yield { says: `${event.node} drained and never gave shard ${opened.shard} up`, events: [opened, event] };
          }
        }
      }
    },
  },
  {
    id: 'I22',
    title: 'while no fault is in force, a shard is without an owner no longer than the bound',
    needs: ['ownership', 'faults', 'ownerlessMs'],
    check: checkOwnerless,
  },
];

function processOf({ node, incarnation }: ProcessName): string {
  return `${node} ${incarnation}`;
}

function* checkZombies(story: Story): Iterable<Breach> {
  const limitMs = story.history.bounds.zombieMs ?? usualZombieMs;
  const closed = new Map<string, ShardCloseEvent>();
  for (const event of story.eventsOf('shard.closed'))
    closed.set(`${processOf(event)} ${event.shard}/${event.epoch}`, event);
  const opened = new Set(
    story.eventsOf('shard.opened').map((event) => `${processOf(event)} ${event.shard}/${event.epoch}`),
  );
  const ended = new Map(story.eventsOf('process.ended').map((event) => [processOf(event), event.at]));
  const pauses = byTarget(story.eventsOf('fault').filter(({ kind }) => kind === 'pause'));
  for (const refusal of firstRefusals(story)) {
    const name = `${processOf(refusal)} ${refusal.shard}/${refusal.epoch}`;
    const { answeredAt } = refusal;
    if (answeredAt === null || !opened.has(name)) continue;
    const dueAt = answeredAt + limitMs;
    const close = closed.get(name);
    if (close !== undefined && close.at <= dueAt) continue;
    // One that was stopped again, or whose run ended, had no time for it.
    const isOver = (ended.get(processOf(refusal)) ?? story.history.endedAt) <= dueAt;
    const wasPaused = (pauses.get(refusal.node) ?? []).some(
      ({ at, until }) => at <= dueAt && (until ?? Infinity) >= answeredAt,
    );
    if (isOver || wasPaused) continue;
    yield {
      says: `${refusal.node} held shard ${refusal.shard} for over ${limitMs} ms after it had been refused`,
      events: [refusal, ...(close === undefined ? [] : [close])],
    };
  }
}

function* checkOwnerless(story: Story): Iterable<Breach> {
  const { endedAt, bounds, events } = story.history;
  const limitMs = bounds.ownerlessMs ?? Infinity;
  const faults = faultIntervals(story);
  const owners = new Map<number, Set<string>>();
  const ownerlessSince = new Map<number, { readonly at: number; readonly closed: ShardCloseEvent }>();
  for (const event of events) {
    if (event.type === 'shard.opened') {
      const since = ownerlessSince.get(event.shard);
      ownerlessSince.delete(event.shard);
      owners.set(event.shard, (owners.get(event.shard) ?? new Set<string>()).add(`${processOf(event)} ${event.epoch}`));
      if (since !== undefined) yield* ownerless(event.shard, since, event.at, event);
    } else if (event.type === 'shard.closed') {
      const left = owners.get(event.shard);
      left?.delete(`${processOf(event)} ${event.epoch}`);
      if (left?.size === 0) ownerlessSince.set(event.shard, { at: event.at, closed: event });
    }
  }
  // When the nodes are stopped at the end, nobody is to take over.
  const lastStop = story.eventsOf('process.draining').at(-1)?.at ?? endedAt;
  for (const [shard, since] of ownerlessSince)
    yield* ownerless(shard, since, Math.min(endedAt, Math.max(lastStop, since.at)));

  function* ownerless(
    shard: number,
    since: { readonly at: number; readonly closed: ShardCloseEvent },
    until: number,
    opened?: ShardOpenEvent,
  ): Iterable<Breach> {
    const quietSince = Math.max(since.at, lastFaultEnd(faults, until));
    if (until - quietSince <= limitMs) return;
    yield {
      says: `shard ${shard} had no owner for ${until - quietSince} ms while no fault was in force`,
      events: [since.closed, ...(opened === undefined ? [] : [opened])],
    };
  }
}

/** Faults in the order of their beginnings, each with the latest end of all that had begun by then. */
function faultIntervals(story: Story): readonly (readonly [from: number, lastEnd: number])[] {
  let lastEnd = -Infinity;
  return story
    .eventsOf('fault')
    .toSorted((left, right) => left.at - right.at)
    .map(({ at, until, kind }) => {
      // A link that is never mended is cut to the end; a crash is over when it has happened.
      lastEnd = Math.max(lastEnd, until ?? (kind.startsWith('partition') ? Infinity : at));
      return [at, lastEnd] as const;
    });
}

/** When the last fault was over that had begun before a time. */
function lastFaultEnd(intervals: readonly (readonly [number, number])[], before: number): number {
  let low = 0;
  let high = intervals.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((intervals[middle]?.[0] ?? Infinity) <= before) low = middle + 1;
    else high = middle;
  }
  return intervals[low - 1]?.[1] ?? -Infinity;
}

function byTarget(faults: readonly FaultEvent[]): ReadonlyMap<string, readonly FaultEvent[]> {
  const found = new Map<string, FaultEvent[]>();
  for (const fault of faults) {
    const known = found.get(fault.target);
    if (known === undefined) found.set(fault.target, [fault]);
    else known.push(fault);
  }
  return found;
}
