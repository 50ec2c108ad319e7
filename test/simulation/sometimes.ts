/** A situation that a run of many seeds must come to: one that never does tests nothing. */
export interface Sometimes {
  readonly situation: string;
  /** The counter that tells of it. */
  readonly counter: string;
}

/** The situations, by the counters of a simulation's report. */
export const sometimes: readonly Sometimes[] = [
  { situation: 'a zombie write was refused', counter: 'metric appends_fenced_total' },
  { situation: '10164 or 10158 was answered', counter: 'store busy' },
  {
    situation: 'an unknown append was found to have landed',
    counter: 'metric appends_unknown_resolved_total:committed',
  },
  {
    situation: 'an unknown append was found not to have landed',
    counter: 'metric appends_unknown_resolved_total:absent',
  },
  { situation: 'a proposal lost its leader', counter: 'store proposals without a leader' },
  { situation: 'a message landed late', counter: 'messages late' },
  { situation: 'a replica gave an old state', counter: 'store stale reads' },
  { situation: 'a retry came due', counter: 'record retry.due' },
  { situation: 'a stage was interrupted and run again', counter: 'record owner.changed rerun' },
  { situation: 'a stage was interrupted and its driver asked', counter: 'record owner.changed lookup' },
  { situation: 'a stage was interrupted and parked', counter: 'record owner.changed park' },
  { situation: 'a stage was given up after losses', counter: 'record owner.changed deadLetter' },
  { situation: 'a lookup found an effect done', counter: 'record outcome.resolved lookup completed' },
  { situation: 'a lookup found an effect not done', counter: 'record outcome.resolved lookup notDone' },
  { situation: 'an operator resolved an outcome as done', counter: 'record outcome.resolved operator completed' },
  { situation: 'an operator resolved an outcome as not done', counter: 'record outcome.resolved operator notDone' },
  { situation: 'a drain released a running stage', counter: 'record stage.released rerun' },
  { situation: 'a stage came through its probation', counter: 'record stage.cleared' },
  { situation: 'a sub-step was committed', counter: 'record stage.checkpointed' },
  { situation: 'a task was dead-lettered', counter: 'record stage.failed deadLetter' },
  { situation: 'a dead letter was redriven', counter: 'record task.redriven' },
  { situation: 'a task was paused', counter: 'record task.paused' },
  { situation: 'a task was resumed', counter: 'record task.resumed' },
  { situation: 'a task was canceled', counter: 'record task.canceled' },
  { situation: 'a repeated command was answered', counter: 'metric repeated_commands_total' },
  { situation: 'a shard was taken over', counter: 'metric takeovers_total' },
  { situation: 'a shard was handed over', counter: 'metric handovers_total' },
  { situation: 'a lease ran out', counter: 'metric lease_lost_total' },
  { situation: 'a driver was abandoned', counter: 'metric abandoned_drivers_total' },
  { situation: 'a straggler was dropped', counter: 'metric stragglers_total' },
  { situation: 'a breaker opened', counter: 'metric port_breaker_opened_total' },
  { situation: 'a snapshot round failed', counter: 'metric snapshot_failures_total' },
  { situation: 'a finished id was looked up', counter: 'metric finished_lookups_total' },
  { situation: 'a waiting task left memory', counter: 'metric passivations_total' },
  { situation: 'a passive task came back', counter: 'metric activations_total' },
  { situation: 'a passive task could not be loaded', counter: 'metric activation_failures_total' },
];

/** Fewest seeds after which every situation must have come. */
export const sometimesAfterSeeds = 400;

/** The situations that never came. */
export function neverHappened(counters: ReadonlyMap<string, number>): readonly string[] {
  return sometimes.filter(({ counter }) => (counters.get(counter) ?? 0) === 0).map(({ situation }) => situation);
}
