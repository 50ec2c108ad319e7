import type { CheckpointEvent, SnapshotEvent } from '../history-events.ts';
import type { Breach, Invariant } from '../invariant.ts';
import type { Step, Story } from '../story.ts';

/** Snapshots are caches of the journal: never ahead of it, never other than it, never going back. */
export const snapshotInvariants: readonly Invariant[] = [
  {
    id: 'I34',
    title: "a task's snapshots of one epoch never go back, and neither do a shard's checkpoints",
    needs: ['snapshots'],
    *check(story) {
      const tasks = new Map<string, SnapshotEvent>();
      for (const event of story.eventsOf('snapshot')) {
        const name = `${event.task} ${event.epoch}`;
        const before = tasks.get(name);
        tasks.set(name, event);
        if (before === undefined || event.seq >= before.seq) continue;
        yield {
          says: `the snapshot of task ${event.task} went back from ${before.seq} to ${event.seq}`,
          events: [before, event],
        };
      }
      const shards = new Map<number, CheckpointEvent>();
      for (const event of story.eventsOf('checkpoint')) {
        const before = shards.get(event.shard);
        shards.set(event.shard, event);
        const isBack = before !== undefined && (event.epoch < before.epoch || event.sequence < before.sequence);
        if (isBack) yield { says: `the checkpoint of shard ${event.shard} went back`, events: [before, event] };
      }
    },
  },
  {
    id: 'I34',
    title: 'a snapshot or checkpoint stands for nothing that was not committed when it was written',
    needs: ['journal', 'snapshots'],
    *check(story) {
      const storedAt = new Map<string, number>();
      for (const { record, at } of story.steps) storedAt.set(`${record.task}/${record.seq}`, at);
      for (const event of story.eventsOf('snapshot')) {
        const at = storedAt.get(`${event.task}/${event.seq}`);
        if (at !== undefined && at <= event.at) continue;
        yield {
          says: `the snapshot of task ${event.task} stands for record ${event.seq}, which was not committed`,
          events: [event],
        };
      }
      for (const event of story.eventsOf('checkpoint')) {
        const entry = story.entryAt(event.sequence);
        if (entry !== undefined && entry.shard === event.shard && entry.storedAt <= event.at) continue;
        yield {
          says: `the checkpoint of shard ${event.shard} names ${event.sequence}, which was not committed`,
          events: [event],
        };
      }
    },
  },
  {
    id: 'I35',
    title: 'a snapshot is the state that replay reaches with the same records',
    needs: ['journal', 'snapshots'],
    *check(story) {
      for (const event of story.eventsOf('snapshot')) {
        const expected = story.stateHashOf(event.task, event.seq);
        if (event.stateHash === undefined || expected === undefined || event.stateHash === expected) continue;
        yield {
          says: `the snapshot of task ${event.task} after ${event.seq} records is not what replay reaches`,
          events: [event],
        };
      }
    },
  },
  {
    id: 'I35',
    title: 'a checkpoint leaves no record behind that is in no snapshot of its epoch',
    needs: ['journal', 'snapshots'],
    check: checkCheckpoints,
  },
];

interface ShardCoverage {
  /** How far the shard's steps were read. */
  next: number;
  epoch: number;
  /** Records that a snapshot must stand for, of tasks that are not covered. */
  readonly due: Map<string, number>;
  /** The same of every task that has not ended, covered or not: a new epoch writes them all anew. */
  readonly live: Map<string, number>;
}

function* checkCheckpoints(story: Story): Iterable<Breach> {
  const steps = new Map<number, Step[]>();
  for (const step of story.steps) {
    const own = steps.get(step.shard);
    if (own === undefined) steps.set(step.shard, [step]);
    else own.push(step);
  }
  const covered = new Map<string, number>();
  const finished = new Map<string, number>();
  const shards = new Map<number, ShardCoverage>();
  for (const event of story.history.events) {
    if (event.type === 'snapshot') {
      const name = `${event.epoch} ${event.task}`;
      covered.set(name, Math.max(covered.get(name) ?? 0, event.seq));
      // The snapshot of an ended task is kept under every epoch.
      if (event.isFinished === true) finished.set(event.task, event.seq);
    }
    if (event.type !== 'checkpoint') continue;
    const coverage = shards.get(event.shard) ?? { next: 0, epoch: event.epoch, due: new Map(), live: new Map() };
    shards.set(event.shard, coverage);
    if (coverage.epoch !== event.epoch) {
      coverage.epoch = event.epoch;
      for (const [task, seq] of coverage.live) coverage.due.set(task, seq);
    }
    yield* cover(event, coverage, steps.get(event.shard) ?? []);
  }

  function* cover(event: CheckpointEvent, coverage: ShardCoverage, own: readonly Step[]): Iterable<Breach> {
    const { due, live } = coverage;
    for (
      let step = own[coverage.next];
      step !== undefined && step.sequence <= event.sequence;
      step = own[coverage.next]
    ) {
      const { task, seq, to } = step.record;
      coverage.next += 1;
      due.set(task, seq);
      if (to === 'completed' || to === 'canceled') live.delete(task);
      else live.set(task, seq);
    }
    for (const [task, seq] of due) {
      due.delete(task);
      if (
        !story.isSound(task) ||
        (covered.get(`${event.epoch} ${task}`) ?? 0) >= seq ||
        (finished.get(task) ?? 0) >= seq
      )
        continue;
      yield {
        says: `the checkpoint of shard ${event.shard} at ${event.sequence} leaves record ${seq} of task ${task} in no snapshot`,
        events: [event],
      };
    }
  }
}
