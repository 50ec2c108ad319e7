import type { CallEvent, FaultEvent } from '../history-events.ts';
import type { Breach, Invariant } from '../invariant.ts';
import type { Story } from '../story.ts';

/** How calls are answered, and what an outage of the store must stop. */
export const callInvariants: readonly Invariant[] = [
  {
    id: 'I44',
    title: 'while the store has no quorum nothing is committed, and no submit is accepted that was made meanwhile',
    needs: ['journal', 'faults', 'calls'],
    check: (story) => checkOutages(story, 'storeDown'),
  },
  {
    id: 'I45',
    title: 'while the store is full nothing is committed, and no submit is accepted that was made meanwhile',
    needs: ['journal', 'faults', 'calls'],
    check: (story) => checkOutages(story, 'storeFull'),
  },
  {
    id: 'I47',
    title: 'a call has one answer, which is about the task that it asked for',
    needs: ['calls'],
    *check(story) {
      const known = new Map<string, CallEvent>();
      for (const call of story.eventsOf('call')) {
        const before = known.get(call.call);
        known.set(call.call, call);
        if (before !== undefined) yield { says: `call ${call.call} was answered twice`, events: [before, call] };
        const { answeredTask, task, answeredAt, invokedAt } = call;
        if (answeredTask !== undefined && answeredTask !== task) {
          yield { says: `a call about task ${task} was answered about ${answeredTask}`, events: [call] };
        }
        if (answeredAt !== null && answeredAt < invokedAt)
          yield { says: `call ${call.call} was answered before it was made`, events: [call] };
      }
    },
  },
  {
    id: 'I47',
    title: 'a call has an answer by its deadline',
    needs: ['calls', 'deadlineSlackMs'],
    *check(story) {
      const slackMs = story.history.bounds.deadlineSlackMs ?? Infinity;
      for (const call of story.eventsOf('call')) {
        const { answeredAt, invokedAt, deadlineMs, outcome } = call;
        if (deadlineMs === undefined || outcome.kind === 'none') continue;
        const tookMs = (answeredAt ?? Infinity) - invokedAt;
        if (tookMs <= deadlineMs + slackMs) continue;
        yield {
          says: `a ${call.kind} of task ${call.task} took ${tookMs} ms, with a deadline of ${deadlineMs} ms`,
          events: [call],
        };
      }
    },
  },
];

function* checkOutages(story: Story, kind: FaultEvent['kind']): Iterable<Breach> {
  const outages = story
    .eventsOf('fault')
    .filter((fault) => fault.kind === kind && fault.until !== null)
    .toSorted((left, right) => left.at - right.at);
  for (const { sequence, shard, storedAt } of story.history.entries) {
    const outage = lastBegun(outages, storedAt);
    if (outage === undefined || storedAt >= (outage.until ?? 0)) continue;
    yield {
      says: `a commit of shard ${shard} was stored while the store took none`,
      sequences: [sequence],
      events: [outage],
    };
  }
  for (const call of story.eventsOf('call')) {
    if (call.kind !== 'submit' || call.outcome.kind !== 'accepted' || call.answeredAt === null) continue;
    const outage = lastBegun(outages, call.invokedAt);
    if (outage === undefined || call.answeredAt >= (outage.until ?? 0)) continue;
    yield { says: `task ${call.task} was accepted while the store took nothing`, events: [outage, call] };
  }
}

/** The last of the faults that had begun before a time. Faults of one kind follow each other. */
function lastBegun(faults: readonly FaultEvent[], at: number): FaultEvent | undefined {
  let low = 0;
  let high = faults.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((faults[middle]?.at ?? Infinity) < at) low = middle + 1;
    else high = middle;
  }
  return faults[low - 1];
}
