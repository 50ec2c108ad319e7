import type { MetricDefinition } from './metrics.ts';

/** How the values of several processes become one: `last` is the newest value of whoever has one. */
export type MetricJoinRule = 'sum' | 'max' | 'last';

/** A metric of the engine with what people need to read it. */
export interface CatalogMetric extends MetricDefinition {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  /** When to look at it, and what it tells then. */
  readonly look: string;
  readonly join: MetricJoinRule;
}

interface CatalogHistogram extends CatalogMetric {
  readonly buckets: readonly number[];
}

const latencyBuckets = [
  0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;
const stageBuckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3_600] as const;
const takeoverBuckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;
const lagBuckets = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;
const recordBuckets = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000] as const;

function counter(name: string, help: string, look: string, labels: readonly string[] = []): CatalogMetric {
  return { kind: 'counter', name, help, look, labels, join: 'sum' };
}

function gauge(
  name: string,
  join: MetricJoinRule,
  help: string,
  look: string,
  labels: readonly string[] = [],
): CatalogMetric {
  return { kind: 'gauge', name, help, look, labels, join };
}

function histogram(
  name: string,
  buckets: readonly number[],
  help: string,
  look: string,
  labels: readonly string[] = [],
): CatalogHistogram {
  return { kind: 'histogram', name, help, look, labels, join: 'sum', buckets };
}

/**
 * Every metric that the engine makes, without prefix. `docs/METRICS.md` is written from it, dashboard and alerts are held to it.
 *
 * Labels take values from small sets: pipelines, stages, ports and words of this code. Never an id.
 */
export const metricCatalog = {
  tasksAccepted: counter(
    'tasks_accepted_total',
    'Tasks created by a submit',
    'The work that comes in; against `tasks_total` it shows whether the engine keeps up',
    ['pipeline'],
  ),
  tasks: counter(
    'tasks_total',
    'Tasks that ended, by how',
    'Throughput and failures: `completed`, `canceled`, `deadLettered`',
    ['pipeline', 'outcome'],
  ),
  tasksRedriven: counter('tasks_redriven_total', 'Tasks sent back to work by an operator', 'After a redrive', [
    'pipeline',
  ]),
  deadLetters: counter(
    'dead_letters_total',
    'Tasks given up, by the stage and the class of the last failure',
    'When work fails for good: which stage, and whose fault',
    ['pipeline', 'stage', 'class'],
  ),
  liveTasks: gauge(
    'live_tasks',
    'sum',
    'Tasks that have not ended for good, in memory or not, by status',
    'What the backlog consists of; `unknown` and `deadLettered` wait for a decision',
    ['status'],
  ),
  residentTasks: gauge(
    'resident_tasks',
    'sum',
    'Tasks in memory',
    'Against `maxResidentTasks`: what is above it is queued or runs, or its snapshots are late',
  ),
  passiveTasks: gauge(
    'passive_tasks',
    'sum',
    'Tasks that wait and are not in memory',
    'How large the backlog is beside what is in memory',
  ),
  quarantines: counter(
    'quarantines_total',
    'Tasks put aside because they crashed their actor',
    'Never in a healthy engine: a bug of the engine or of a guard',
  ),
  stageSeconds: histogram(
    'stage_duration_seconds',
    stageBuckets,
    'From the start of a driver to its end',
    'Which stage is slow, and whether it fails fast or slowly',
    ['pipeline', 'stage', 'outcome'],
  ),
  stageQueueSeconds: histogram(
    'stage_queue_seconds',
    stageBuckets,
    'From when a stage could start to when it had its slot',
    'When tasks are slow and drivers are not: a limit or an open breaker holds them',
    ['pipeline', 'stage'],
  ),
  runningStages: gauge('running_stages', 'sum', 'Drivers that hold a slot', 'Against `maxRunningStages`: the load now'),
  queuedStages: gauge('queued_stages', 'sum', 'Stages that wait for a slot', 'When work piles up behind a limit'),
  retries: counter('retries_total', 'Retries scheduled, by failure class', 'When an integration gets worse', [
    'pipeline',
    'stage',
    'class',
  ]),
  interruptions: counter(
    'interruptions_total',
    'Stages whose owner died under them, by what was decided',
    'After a crash or a lost lease: what it cost',
    ['pipeline', 'stage', 'decision'],
  ),
  handovers: counter(
    'stages_released_total',
    'Running stages released because their shard was handed over, by what was decided',
    'When a drain or a rebalance costs too much: a longer grace lets more stages finish',
    ['pipeline', 'stage', 'decision'],
  ),
  suspectsWaiting: gauge(
    'suspects_waiting',
    'sum',
    'Queued stages that wait for a probation, for their owners were lost under them',
    'After a crash loop: how many stages start one by one',
  ),
  suspectStarts: counter(
    'suspect_starts_total',
    'Stages that started in probation after losses of their owner',
    'After a crash loop: which stages were suspected',
    ['pipeline', 'stage'],
  ),
  suspectsCleared: counter(
    'suspects_cleared_total',
    'Stages that came through their probation',
    'After a crash loop: those that were started and not cleared are what kills the node',
    ['pipeline', 'stage'],
  ),
  abandonedDrivers: counter(
    'abandoned_drivers_total',
    'Drivers that ignored their abort signal and were given up',
    'When slots are free and the process is busy: a driver does not stop when told',
    ['pipeline', 'stage'],
  ),
  portBreakerOpen: gauge(
    'port_breaker_open',
    'max',
    'Whether the breaker of a port holds its stages back: 1 from its opening until a probe succeeds',
    'When stages wait and slots are free: the integration behind the port is down',
    ['port'],
  ),
  portBreakerOpened: counter(
    'port_breaker_opened_total',
    'How often the breaker of a port opened after it was closed',
    'How stable an integration is',
    ['port'],
  ),
  rejections: counter(
    'rejections_total',
    'Commands answered with an error, by its code',
    'What callers do wrong, or what they meet: `OVERLOADED`, `NO_OWNER`, `INPUT_INVALID`',
    ['code'],
  ),
  repeatedCommands: counter(
    'repeated_commands_total',
    'Commands answered from the dedup window',
    'When clients lose answers: each is a repeat without an effect',
  ),
  mailboxDepth: gauge(
    'mailbox_depth',
    'sum',
    'Commands that wait in mailboxes',
    'Grows when commands come in faster than they are decided',
  ),
  stragglers: counter(
    'stragglers_total',
    'Outcomes dropped because they were not current, by type',
    'Some are normal after cancels and takeovers; many mean drivers that outlive their attempt',
    ['type'],
  ),
  actorRestarts: counter(
    'actor_restarts_total',
    'Actors that crashed and were rebuilt',
    'Never in a healthy engine: the log has the error',
  ),
  commits: counter('commits_total', 'Acknowledged appends to shard journals', 'The rate of durable writes'),
  commitBytes: counter('commit_bytes_total', 'Bytes of acknowledged appends', 'How fast the journal grows'),
  commitSeconds: histogram(
    'commit_duration_seconds',
    latencyBuckets,
    'From sending an append to its acknowledgement',
    'The floor of every latency: disk and quorum of the NATS servers',
  ),
  commitRecords: histogram(
    'commit_records',
    recordBuckets,
    'Records in one append',
    'The batch size: grows with load, which is what carries it',
  ),
  uncommittedRecords: gauge(
    'uncommitted_records',
    'sum',
    'Records decided and not acknowledged yet',
    'Grows when the journal is slower than the decisions',
  ),
  conflicts: counter(
    'append_conflicts_total',
    'Appends refused for a wrong last sequence',
    'One at a takeover or after a lost answer; more mean two owners that write',
  ),
  fencedAppends: counter(
    'appends_fenced_total',
    'Appends of a zombie owner that the server refused',
    'An owner wrote after it had lost its shard. The fence held; find out why it was late',
  ),
  busyAppends: counter('appends_busy_total', 'Appends answered "in process"', 'With a replicated stream under load'),
  unknownAppends: counter(
    'appends_unknown_total',
    'Appends whose outcome was unknown at first, by reason',
    'When NATS is away, slow or full: `STORAGE_FULL` means that JetStream takes no more',
    ['code'],
  ),
  unknownResolved: counter(
    'appends_unknown_resolved_total',
    'Appends of unknown outcome that became known',
    'Beside `appends_unknown_total`: what is missing is still unknown',
    ['as'],
  ),
  journalStallSeconds: gauge(
    'journal_stall_seconds',
    'max',
    'How long the shard that waits longest has waited for its journal',
    'Over 2 s shards take no new work',
  ),
  snapshotWrites: counter(
    'snapshot_writes_total',
    'Snapshots written behind, by kind',
    'The load of the write-behind',
    ['kind'],
  ),
  snapshotFailures: counter(
    'snapshot_failures_total',
    'Snapshot rounds that failed and are repeated',
    'When snapshots fall behind: a recovery replays more',
  ),
  snapshotLagSeconds: gauge(
    'snapshot_lag_seconds',
    'max',
    'Age of the oldest change that no snapshot has, over all shards',
    'How much a recovery would replay; the journal is not trimmed past it',
  ),
  finishedLookups: counter(
    'finished_lookups_total',
    'Submits whose id had to be looked up among finished tasks',
    'When submits are slow: each is a read of the store',
  ),
  passivations: counter(
    'passivations_total',
    'Tasks that waited and were let go from memory',
    'Against `activations_total`: many of both mean that `passivateAfterMs` is shorter than most waits',
  ),
  activations: counter(
    'activations_total',
    'Passive tasks brought back into memory, by a command or by their due time',
    'Each is a read of the store',
    ['by'],
  ),
  activationSeconds: histogram(
    'activation_duration_seconds',
    latencyBuckets,
    'From asking for a passive task to its state, or to the failure',
    'When commands to waiting tasks are slow, or many retries are due at once',
  ),
  activationFailures: counter(
    'activation_failures_total',
    'Snapshots of passive tasks that were missing, stale or unreadable, or that the store did not give; they are tried again',
    'Any but `unavailable`, unless a newer owner has just taken the shard: the snapshot bucket has lost what it acknowledged',
    ['reason'],
  ),
  shards: gauge('shards', 'max', 'Shards of the cluster', 'Against the sum of `shards_owned`'),
  shardsOwned: gauge('shards_owned', 'sum', 'Shards that this node serves', 'Less than `shards`: some have no owner'),
  shardsLost: counter(
    'shards_lost_total',
    'Shards that closed themselves because they could commit no more, by code',
    'After a takeover (`OWNERSHIP_LOST`); any other code needs a look',
    ['code'],
  ),
  recoveredTasks: counter('recovered_tasks_total', 'Live tasks brought back by a recovery', 'What a takeover moved'),
  recoverySeconds: histogram(
    'recovery_duration_seconds',
    latencyBuckets,
    'From the claim of a shard to its first command',
    'How long a shard is away at a takeover',
  ),
  natsReconnects: counter(
    'nats_reconnects_total',
    'Connections to NATS that broke and came back',
    'When latencies jump: the network, or a server that restarts',
    ['connection'],
  ),
  unanswerableRequests: counter(
    'unanswerable_requests_total',
    'Requests to a shard without a reply subject',
    'A client that publishes where it should request',
  ),
  unanswerableMessages: counter(
    'api_unanswerable_messages_total',
    'Messages to an API endpoint that had no reply subject and were dropped',
    'As above, for the JSON API',
    ['endpoint'],
  ),
  clusterMembers: gauge(
    'cluster_members',
    'max',
    'Nodes with a lease, as this node sees them',
    'When nodes disagree about who is there',
  ),
  clusterView: gauge(
    'cluster_view',
    'max',
    "Number of this node's view: grows with each change",
    'How often the cluster changes',
  ),
  shardsFailing: gauge(
    'shards_failing',
    'sum',
    'Shards that fall to this node and that it could not open',
    'When shards have no owner: the log has the reason',
  ),
  shardHandovers: counter(
    'handovers_total',
    'Shards handed over in good order',
    'During a rolling restart or a rebalance',
  ),
  takeovers: counter('takeovers_total', 'Shards taken and served', 'After a node was lost: `why` tells the cause', [
    'why',
  ]),
  takeoverSeconds: histogram(
    'takeover_seconds',
    takeoverBuckets,
    'From the decision to take a shard to serving it',
    'How long a shard has no owner once it is known to be free',
  ),
  renewalFailures: counter(
    'lease_renewal_failures_total',
    'Renewals of the node lease that failed and were tried again',
    'Before a lease is lost: NATS is slow or away',
  ),
  missedHeartbeats: counter(
    'heartbeats_missed_total',
    'Heartbeats of peers that were refused or not answered in time',
    'When nodes are taken for dead: the network, or event loops that stand still',
  ),
  lostLeases: counter(
    'lease_lost_total',
    'Times that the node lease ran out, or another process took it',
    'The process stood still, or could not reach NATS, for longer than its lease; its shards were dropped',
  ),
  eventLoopLag: histogram(
    'event_loop_lag_seconds',
    lagBuckets,
    'How late a timer of this process fires',
    'When everything is slow at once: a driver or a large payload blocks the loop',
  ),
  workerRestarts: counter(
    'worker_restarts_total',
    'Node processes that were started again, by why the one before had ended',
    'When a process crashes or hangs: `reason` and the log tell why',
    ['reason'],
  ),
  workerUp: gauge(
    'worker_up',
    'last',
    'Whether the node process of a slot serves',
    'Which of the processes is missing',
    ['slot'],
  ),
  snapshotAge: gauge(
    'worker_snapshot_age_seconds',
    'last',
    'Age of the last numbers that the process of a slot has told',
    'A process that is frozen, or too busy to answer: its numbers are old',
    ['slot'],
  ),
  embeddedNatsRestarts: counter(
    'embedded_nats_restarts_total',
    'Restarts of the embedded nats-server after an end that nobody asked for',
    'With the embedded server only: it was killed, or ran out of memory or disk',
  ),
  payloadTasksDeleted: counter(
    'payload_tasks_deleted_total',
    'Tasks past every retention whose stored payloads were deleted',
    'When the payload bucket grows: whether anything is cleaned up',
  ),
  taskIndexLag: gauge(
    'task_index_lag_seconds',
    'max',
    'For how long the journal has held something that the task index does not',
    'When lists of tasks seem old',
  ),
  taskIndexRows: gauge('task_index_rows', 'last', 'Tasks in the task index', 'Its file takes some 400 bytes a task'),
  taskIndexUnreadable: counter(
    'task_index_unreadable_entries_total',
    'Journal entries that the task index passed over because they could not be read',
    'Anything but 0: the log names shard and sequence, and their tasks are not in the lists',
  ),
  eventsPublished: counter(
    'events_published_total',
    'Events of the journal that were published to the stream of events',
    'Whether consumers of the stream get anything',
  ),
  eventPublisherLag: gauge(
    'event_publisher_lag_seconds',
    'max',
    'For how long the journal has held something that is not published as events',
    'When consumers of the stream of events seem late',
  ),
  durability: gauge(
    'durability_info',
    'last',
    'What an acknowledgement survives, always 1',
    'Anything but `power-loss`: a power cut may take acknowledged work',
    ['level', 'replicas'],
  ),
  build: gauge('build_info', 'last', 'The running version, always 1', 'During an upgrade', ['version', 'nodejs']),
} as const satisfies Record<string, CatalogMetric>;
