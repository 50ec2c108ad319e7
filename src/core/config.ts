import { breakerDefaults } from './circuit-breaker.ts';
import { EngineError } from './errors.ts';

/** All settings of the engine. Units are in the names. */
export interface EngineConfig {
  /** Prefix of every subject, stream and bucket: `^[a-z][a-z0-9-]{0,31}$`. Two clusters on one NATS differ in it. */
  readonly namespace: string;
  /** Number of shards, fixed when the cluster is created: 1 to 4,096. More spread the work over more nodes; fewer make larger commits. */
  readonly shardCount: number;
  /** What an acknowledgement must survive: `process-crash`, or `power-loss`, which needs a server with `sync_interval: always`. */
  readonly durability: 'process-crash' | 'power-loss';
  /** Replicas of the streams: 1, 3 or 5. */
  readonly replicas: number;

  /** Life of a node's lease without renewal. Whole seconds; below 15 s a crash of the stream leader takes it from healthy nodes. */
  readonly leaseTtlMs: number;
  /** Time between two renewals, at most a third of the life. */
  readonly leaseRenewMs: number;

  /** Time between two looks at leases and locks while nothing changes. Shorter notices sooner what no hint told of. */
  readonly clusterPollMs: number;
  /** Shards that may move at one time for balance. Takeovers of dead owners' shards have no limit. */
  readonly maxMoves: number;
  /** The node's share of the shards against the others' capacities. A node with twice the capacity gets twice the shards. */
  readonly capacity: number;

  /** Most messages that wait in one task's mailbox. */
  readonly mailboxCapacity: number;
  /** Command ids that a task remembers with their replies. */
  readonly dedupWindowSize: number;
  /** Most uncommitted records of a shard before it stops taking messages from mailboxes. */
  readonly maxPendingRecords: number;
  /** Most messages that wait in all mailboxes of a shard; more are answered `OVERLOADED`. */
  readonly maxWaitingMessages: number;

  /** Drivers that run at one time on a node. */
  readonly maxRunningStages: number;
  /** Failures in a row, over all stages of a node that name a port, after which the node holds them back. More notice an outage later. */
  readonly breakerFailureThreshold: number;
  /** How long they are held back before one attempt tries the port again. Shorter tries a broken port more often. */
  readonly breakerOpenMs: number;
  /** Each try that fails doubles that time, up to this. Longer goes on later after a long outage. */
  readonly breakerMaxOpenMs: number;
  /** Time a driver has to stop after its signal aborts, before it is given up as abandoned. */
  readonly abortGraceMs: number;
  /** Interruptions of one stage (its owner died) before it is dead-lettered. Those that a passed probation has cleared do not count. */
  readonly maxInterruptions: number;
  /**
   * Interruptions after which a stage is suspected of killing its node and starts alone among suspects; at most
   * `maxInterruptions`. More let a poison stage take its neighbors along more often; fewer slow a node's second loss down.
   */
  readonly suspectAfterInterruptions: number;
  /** How long a suspect must run before it is cleared and the next one may start. Shorter lets slower poison through. */
  readonly suspectProbationMs: number;
  /** Times that a stage may be cut off because its shard is handed over; after these each one counts as an interruption. */
  readonly maxHandovers: number;
  /** Checkpoints of one stage of one task. */
  readonly maxCheckpoints: number;
  /** Actor crashes within {@link actorRestartPeriodMs} before the task is quarantined. */
  readonly actorRestartIntensity: number;
  readonly actorRestartPeriodMs: number;

  /** Largest JSON value kept in a record; a larger one goes to the blob store. */
  readonly inlinePayloadBytes: number;
  /** Largest input, output or checkpoint at all. */
  readonly maxPayloadBytes: number;
  /** Largest commit. The server's own limit, less headroom, is used when it is smaller. */
  readonly maxCommitBytes: number;

  /** Time between two snapshot rounds of a shard. */
  readonly snapshotIntervalMs: number;
  /** Records after which a snapshot round starts early. */
  readonly snapshotEveryRecords: number;
  /** How long a task waits in memory after its snapshot is stored; then it is let go until a command or its due time. Longer keeps more in memory. */
  readonly passivateAfterMs: number;
  /** Tasks in memory of a node, above which those that wait are let go at once. More answer quicker; each takes some 3 kB. */
  readonly maxResidentTasks: number;
  /** How long a finished task can be found. */
  readonly finishedRetentionMs: number;
  /** How long journal messages are kept for history and audit. */
  readonly auditWindowMs: number;

  /** Longest that the owner holds a `task.result` request before it answers `pending`. */
  readonly maxResultWaitMs: number;
  /** How long a stop waits for running drivers before it aborts them. */
  readonly drainGraceMs: number;
}

/** The settings that are in force when nothing else is said. */
export const configDefaults: EngineConfig = {
  namespace: 'cabinet',
  shardCount: 16,
  durability: 'process-crash',
  replicas: 1,
  leaseTtlMs: 20_000,
  leaseRenewMs: 5_000,
  clusterPollMs: 1_000,
  maxMoves: 4,
  capacity: 1,
  mailboxCapacity: 64,
  dedupWindowSize: 32,
  maxPendingRecords: 4_096,
  maxWaitingMessages: 8_192,
  maxRunningStages: 256,
  breakerFailureThreshold: breakerDefaults.failureThreshold,
  breakerOpenMs: breakerDefaults.openMs,
  breakerMaxOpenMs: breakerDefaults.maxOpenMs,
  abortGraceMs: 5_000,
  maxInterruptions: 5,
  suspectAfterInterruptions: 2,
  suspectProbationMs: 5_000,
  maxHandovers: 100,
  maxCheckpoints: 256,
  actorRestartIntensity: 3,
  actorRestartPeriodMs: 60_000,
  inlinePayloadBytes: 64 * 1024,
  maxPayloadBytes: 16 * 1024 * 1024,
  maxCommitBytes: 512 * 1024,
  snapshotIntervalMs: 1_000,
  snapshotEveryRecords: 5_000,
  passivateAfterMs: 10_000,
  maxResidentTasks: 50_000,
  finishedRetentionMs: 24 * 3_600_000,
  auditWindowMs: 7 * 24 * 3_600_000,
  maxResultWaitMs: 20_000,
  drainGraceMs: 10_000,
};

interface Range {
  readonly least: number;
  readonly most: number;
}

const day = 24 * 3_600_000;

/**
 * Allowed range of each numeric setting; all are whole numbers. The most of `dedupWindowSize` and `maxCheckpoints` keeps a task's
 * snapshot under the smallest message limit in use (`inline-budget.ts`).
 */
export const configRanges: {
  readonly [Name in keyof EngineConfig as EngineConfig[Name] extends number ? Name : never]: Range;
} = {
  shardCount: { least: 1, most: 4_096 },
  replicas: { least: 1, most: 5 },
  leaseTtlMs: { least: 2_000, most: 3_600_000 },
  leaseRenewMs: { least: 100, most: 1_200_000 },
  clusterPollMs: { least: 50, most: 3_600_000 },
  maxMoves: { least: 1, most: 4_096 },
  capacity: { least: 1, most: 1_024 },
  mailboxCapacity: { least: 1, most: 65_536 },
  dedupWindowSize: { least: 1, most: 256 },
  maxPendingRecords: { least: 1, most: 1_000_000 },
  maxWaitingMessages: { least: 1, most: 1_000_000 },
  maxRunningStages: { least: 1, most: 100_000 },
  breakerFailureThreshold: { least: 1, most: 100_000 },
  breakerOpenMs: { least: 1, most: 3_600_000 },
  breakerMaxOpenMs: { least: 1, most: day },
  abortGraceMs: { least: 0, most: 600_000 },
  maxInterruptions: { least: 0, most: 1_000 },
  suspectAfterInterruptions: { least: 1, most: 1_000 },
  suspectProbationMs: { least: 1, most: 3_600_000 },
  maxHandovers: { least: 0, most: 10_000 },
  maxCheckpoints: { least: 1, most: 512 },
  actorRestartIntensity: { least: 0, most: 1_000 },
  actorRestartPeriodMs: { least: 1, most: day },
  inlinePayloadBytes: { least: 256, most: 512 * 1024 },
  maxPayloadBytes: { least: 1_024, most: 256 * 1024 * 1024 },
  maxCommitBytes: { least: 4_096, most: 8 * 1024 * 1024 },
  snapshotIntervalMs: { least: 10, most: 3_600_000 },
  snapshotEveryRecords: { least: 1, most: 10_000_000 },
  passivateAfterMs: { least: 0, most: day },
  maxResidentTasks: { least: 1, most: 10_000_000 },
  finishedRetentionMs: { least: 1_000, most: 3_650 * day },
  auditWindowMs: { least: 0, most: 3_650 * day },
  maxResultWaitMs: { least: 10, most: 600_000 },
  drainGraceMs: { least: 0, most: 3_600_000 },
};

/**
 * The complete settings, checked one by one and against each other.
 *
 * @throws EngineError `CONFIG_INVALID` with the field and its limit, also for a field that does not exist
 */
export function resolveConfig(partial: Readonly<Record<string, unknown>> = {}): EngineConfig {
  const settings: unknown = partial;
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) {
    throw invalid('config', 'an object of settings', settings);
  }
  const unknownField = Object.keys(partial).find((name) => !Object.hasOwn(configDefaults, name));
  if (unknownField !== undefined) {
    throw invalid(unknownField, `one of ${Object.keys(configDefaults).join(', ')}`, unknownField, 'is not a setting');
  }
  const given = Object.fromEntries(Object.entries(partial).filter(([, value]) => value !== undefined));
  const merged = { ...configDefaults, ...given } as EngineConfig;
  // Who allows fewer interruptions than the default of a suspicion wants it no later than the last of them.
  const suspectAfterInterruptions =
    'suspectAfterInterruptions' in given || typeof merged.maxInterruptions !== 'number'
      ? merged.suspectAfterInterruptions
      : Math.max(1, Math.min(configDefaults.suspectAfterInterruptions, merged.maxInterruptions));
  const config: EngineConfig = { ...merged, suspectAfterInterruptions };
  if (typeof config.namespace !== 'string' || !/^[a-z][a-z0-9-]{0,31}$/.test(config.namespace)) {
    throw invalid('namespace', '1 to 32 characters of a–z 0–9 -, the first a letter', config.namespace);
  }
  if (config.durability !== 'process-crash' && config.durability !== 'power-loss') {
    throw invalid('durability', 'process-crash or power-loss', config.durability);
  }
  for (const [name, range] of Object.entries(configRanges)) {
    const value: unknown = config[name as keyof EngineConfig];
    if (typeof value !== 'number' || !Number.isInteger(value) || value < range.least || value > range.most) {
      throw invalid(name, `an integer from ${range.least} to ${range.most}`, value);
    }
  }
  if (![1, 3, 5].includes(config.replicas)) throw invalid('replicas', '1, 3 or 5', config.replicas);
  if (config.leaseTtlMs % 1_000 !== 0)
    throw invalid('leaseTtlMs', 'whole seconds: the server takes no less', config.leaseTtlMs);
  // Two renewals may fail before the lease runs out.
  if (config.leaseRenewMs * 3 > config.leaseTtlMs) {
    throw invalid('leaseRenewMs', `at most a third of leaseTtlMs (${config.leaseTtlMs})`, config.leaseRenewMs);
  }
  if (config.suspectAfterInterruptions > Math.max(1, config.maxInterruptions)) {
    throw invalid(
      'suspectAfterInterruptions',
      `at most maxInterruptions (${config.maxInterruptions})`,
      config.suspectAfterInterruptions,
    );
  }
  if (config.breakerOpenMs > config.breakerMaxOpenMs) {
    throw invalid('breakerOpenMs', `at most breakerMaxOpenMs (${config.breakerMaxOpenMs})`, config.breakerOpenMs);
  }
  // A value may take more than twice the bytes of its JSON in a record, and the record has other parts.
  if (config.inlinePayloadBytes * 3 > config.maxCommitBytes) {
    throw invalid(
      'inlinePayloadBytes',
      `at most a third of maxCommitBytes (${config.maxCommitBytes})`,
      config.inlinePayloadBytes,
    );
  }
  if (config.inlinePayloadBytes > config.maxPayloadBytes) {
    throw invalid(
      'inlinePayloadBytes',
      `at most maxPayloadBytes (${config.maxPayloadBytes})`,
      config.inlinePayloadBytes,
    );
  }
  return config;
}

function invalid(field: string, limit: string, got: unknown, message = `must be ${limit}`): EngineError {
  return new EngineError('CONFIG_INVALID', `${field} ${message}`, { field, limit, got });
}
