import type { Counter, Gauge, Histogram, Metrics } from '../ports/metrics.ts';

const latencyBuckets = [
  0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;
const stageBuckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3_600] as const;

/** The numbers of all shards of one node. Every situation that must occur in a soak has a counter here. */
export class ShardMetrics {
  readonly conflicts: Counter;
  readonly fencedAppends: Counter;
  readonly busyAppends: Counter;
  readonly unknownAppends: Counter;
  readonly stragglers: Counter;
  readonly rejections: Counter;
  readonly repeatedCommands: Counter;
  readonly tasks: Counter;
  readonly retries: Counter;
  readonly interruptions: Counter;
  readonly abandonedDrivers: Counter;
  readonly actorRestarts: Counter;
  readonly quarantines: Counter;
  readonly snapshotFailures: Counter;
  readonly snapshotWrites: Counter;
  readonly finishedLookups: Counter;
  readonly recoveredTasks: Counter;
  readonly shardsOwned: Gauge;
  readonly runningStages: Gauge;
  readonly queuedStages: Gauge;
  readonly stageSeconds: Histogram;
  readonly #commits: Counter;
  readonly #commitSeconds: Histogram;
  readonly #commitRecords: Histogram;
  readonly #commitBytes: Counter;
  readonly #unknownResolved: Counter;

  constructor(metrics: Metrics) {
    const counter = (name: string, help: string, labels: readonly string[] = []): Counter =>
      metrics.counter({ name, help, labels });
    this.#commits = counter('commits_total', 'Acknowledged appends to shard journals');
    this.#commitBytes = counter('commit_bytes_total', 'Bytes of acknowledged appends');
    this.#commitSeconds = metrics.histogram({
      name: 'commit_seconds',
      help: 'From sending an append to its acknowledgement',
      buckets: latencyBuckets,
    });
    this.#commitRecords = metrics.histogram({
      name: 'commit_records',
      help: 'Records in one append',
      buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000],
    });
    this.#unknownResolved = counter('appends_unknown_resolved_total', 'Appends of unknown outcome that became known', [
      'as',
    ]);
    this.conflicts = counter('append_conflicts_total', 'Appends refused for a wrong last sequence');
    this.fencedAppends = counter('appends_fenced_total', 'Appends of a zombie owner that the server refused');
    this.busyAppends = counter('appends_busy_total', 'Appends answered "in process"');
    this.unknownAppends = counter('appends_unknown_total', 'Appends whose outcome was unknown at first');
    this.stragglers = counter('stragglers_total', 'Outcomes dropped because they were not current', ['type']);
    this.rejections = counter('rejections_total', 'Commands answered with an error', ['code']);
    this.repeatedCommands = counter('repeated_commands_total', 'Commands answered from the dedup window');
    this.tasks = counter('tasks_total', 'Tasks by what became of them', ['pipeline', 'outcome']);
    this.retries = counter('retries_total', 'Retries scheduled', ['pipeline', 'stage', 'class']);
    this.interruptions = counter('interruptions_total', 'Stages whose owner died under them', [
      'pipeline',
      'stage',
      'decision',
    ]);
    this.abandonedDrivers = counter('abandoned_drivers_total', 'Drivers that ignored their abort signal', [
      'pipeline',
      'stage',
    ]);
    this.actorRestarts = counter('actor_restarts_total', 'Actors that crashed and were rebuilt');
    this.quarantines = counter('quarantines_total', 'Tasks put aside as poison');
    this.snapshotFailures = counter('snapshot_failures_total', 'Snapshot rounds that failed and are repeated');
    this.snapshotWrites = counter('snapshot_writes_total', 'Snapshots written behind', ['kind']);
    this.finishedLookups = counter(
      'finished_lookups_total',
      'Submits whose id had to be looked up among finished tasks',
    );
    this.recoveredTasks = counter('recovered_tasks_total', 'Live tasks brought back by a recovery');
    this.shardsOwned = metrics.gauge({ name: 'shards_owned', help: 'Shards that this node serves' });
    this.runningStages = metrics.gauge({ name: 'running_stages', help: 'Drivers that hold a slot' });
    this.queuedStages = metrics.gauge({ name: 'queued_stages', help: 'Stages that wait for a slot' });
    this.stageSeconds = metrics.histogram({
      name: 'stage_seconds',
      help: 'From the start of a driver to its end',
      labels: ['pipeline', 'stage', 'outcome'],
      buckets: stageBuckets,
    });
  }

  /** One acknowledged append. */
  committed(records: number, bytes: number, durationMs: number): void {
    this.#commits.add();
    this.#commitBytes.add(bytes);
    this.#commitRecords.observe(records);
    this.#commitSeconds.observe(durationMs / 1_000);
  }

  /** An append of unknown outcome turned out to be stored, or not. */
  unknownResolved(as: 'committed' | 'absent'): void {
    this.#unknownResolved.add(1, { as });
  }
}
