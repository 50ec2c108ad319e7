import type { FailureClass } from '../../core/failures.ts';
import { metricCatalog } from '../../ports/metric-catalog.ts';
import type { Breach, Invariant } from '../invariant.ts';
import { attemptKey, type Story } from '../story.ts';

/** What the engine itself may find an attempt guilty of, whatever its driver came to. */
const ownClasses: readonly FailureClass[] = ['timeout', 'heartbeatTimeout', 'interrupted', 'poison'];

/** That every failure is captured, classified and counted. */
export const accountingInvariants: readonly Invariant[] = [
  {
    id: 'I50',
    title: 'a failure of a driver that ended its attempt is recorded with its class and what was thrown',
    needs: ['journal', 'drivers'],
    check: checkFailures,
  },
  {
    id: 'I51',
    title: 'a process that ended by an error has said so in its log',
    needs: ['processes', 'logs'],
    *check(story) {
      const spoke = new Set(story.eventsOf('log').flatMap(({ level, node }) => (level === 'warn' ? [] : [node])));
      for (const event of story.eventsOf('process.ended')) {
        if (event.how !== 'failed' || spoke.has(event.node)) continue;
        yield { says: `${event.node} ended by an error, and its log has none`, events: [event] };
      }
    },
  },
  {
    id: 'I52',
    title: 'the counters say what the journal says; where processes were hurt, never more',
    needs: ['journal', 'metrics', 'faults'],
    check: checkCounters,
  },
];

function* checkFailures(story: Story): Iterable<Breach> {
  const recorded = new Map<string, Story['steps'][number]>();
  for (const step of story.steps) {
    const { event, task } = step.record;
    if (event.type === 'stage.failed')
      recorded.set(attemptKey({ task, stage: event.stage, attempt: event.attempt }), step);
  }
  for (const event of story.eventsOf('driver.ended')) {
    const { outcome } = event;
    const name = attemptKey(event);
    const step = recorded.get(name);
    if (step?.record.event.type !== 'stage.failed' || outcome.kind === 'aborted') continue;
    const { failure } = step.record.event;
    if (ownClasses.includes(failure.class)) continue;
    const shows = { sequences: [step.sequence], events: [event] };
    if (outcome.kind === 'completed') {
      // What a driver returned may break its contract: then that is its failure.
      if (failure.class !== 'contract')
        yield { says: `${name} has returned, and is recorded as ${failure.class}`, ...shows };
    } else if (outcome.class !== undefined && outcome.class !== failure.class) {
      yield { says: `${name} failed as ${outcome.class}, and is recorded as ${failure.class}`, ...shows };
    } else if (outcome.code !== undefined && outcome.code !== failure.code) {
      yield { says: `${name} failed with ${outcome.code}, and is recorded with ${failure.code}`, ...shows };
    } else if (outcome.injected !== undefined && !failure.message.includes(outcome.injected)) {
      yield { says: `${name} failed by ${outcome.injected}, which its record does not say`, ...shows };
    }
  }
}

/** Counters, with the records that each counts. */
const countedRecords: readonly {
  readonly name: string;
  readonly counts: (step: Story['steps'][number]) => boolean;
}[] = [
  { name: metricCatalog.tasksAccepted.name, counts: ({ record }) => record.event.type === 'task.submitted' },
  {
    name: metricCatalog.tasks.name,
    counts: ({ record: { to } }) => to === 'completed' || to === 'canceled' || to.startsWith('deadLettered.'),
  },
  {
    name: metricCatalog.retries.name,
    counts: ({ record: { event } }) => event.type === 'stage.failed' && event.decision.kind === 'retry',
  },
  { name: metricCatalog.deadLetters.name, counts: ({ record }) => record.to.startsWith('deadLettered.') },
  { name: metricCatalog.interruptions.name, counts: ({ record }) => record.event.type === 'owner.changed' },
  { name: metricCatalog.handovers.name, counts: ({ record }) => record.event.type === 'stage.released' },
  { name: metricCatalog.tasksRedriven.name, counts: ({ record }) => record.event.type === 'task.redriven' },
  { name: metricCatalog.quarantines.name, counts: ({ record }) => record.event.type === 'task.quarantined' },
];

function* checkCounters(story: Story): Iterable<Breach> {
  const events = story.eventsOf('metrics');
  const isHurt = story.eventsOf('fault').length > 0;
  for (const { name, counts } of countedRecords) {
    const told = events.reduce((sum, { counters }) => sum + (counters[name] ?? 0), 0);
    const actual = story.steps.reduce((sum, step) => sum + (counts(step) ? 1 : 0), 0);
    // A process that was hurt may have committed what it never came to count.
    if (isHurt ? told <= actual : told === actual) continue;
    yield { says: `${name} is ${told}, and the journal has ${actual}`, events };
  }
}
