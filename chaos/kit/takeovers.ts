import { decodeCommit } from '../../src/core/commit-codec.ts';
import type { JournalEntry } from '../../src/ports/journal.ts';
import type { Fault } from './event-log.ts';

/** A node that was only slow goes on by itself: what it commits so long after the fault shows that it is alive. */
const lastWordsMs = 1_000;

interface Running {
  readonly shard: number;
  readonly epoch: number;
}

interface Waiting extends Running {
  readonly at: number;
}

/**
 * How long each task that a node had running at its fault waited for its next owner: from the fault to the first record of a later
 * epoch that starts it again, parks it or ends its stage. Pure. In milliseconds by the server's clock, which is the scenario's.
 */
export function takeoverTimes(entries: readonly JournalEntry[], faults: readonly Fault[]): readonly number[] {
  const due = faults.filter(({ node }) => node !== undefined).toSorted((left, right) => left.at - right.at);
  const owners = new Map<number, string>();
  const running = new Map<string, Running>();
  const waiting = new Map<string, Waiting>();
  const times: number[] = [];
  for (const entry of entries) {
    while (due[0] !== undefined && due[0].at < entry.storedAt) {
      const fault = due.shift() as Fault;
      for (const [task, { shard, epoch }] of running) {
        if (owners.get(shard) === fault.node) waiting.set(task, { shard, epoch, at: fault.at });
      }
    }
    const { epoch, owner, records } = decodeCommit(entry.body);
    if (owner !== undefined) owners.set(entry.shard, owner.node);
    for (const { task, to } of records) {
      if (to.endsWith('.running')) running.set(task, { shard: entry.shard, epoch });
      else running.delete(task);
      const waits = waiting.get(task);
      if (waits === undefined) continue;
      const goesOn = !to.endsWith('.queued');
      if (epoch > waits.epoch && goesOn) times.push(entry.storedAt - waits.at);
      const isOver = epoch > waits.epoch ? goesOn : !to.endsWith('.running') || entry.storedAt - waits.at > lastWordsMs;
      if (isOver) waiting.delete(task);
    }
  }
  return times;
}
