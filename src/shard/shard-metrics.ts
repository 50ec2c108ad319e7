import type { StageLoad } from '../core/node-messages.ts';
import { metricCatalog } from '../ports/metric-catalog.ts';
import type { Counter, Gauge, Histogram, Metrics } from '../ports/metrics.ts';

/** The numbers of all shards of one node. Every situation that must occur in a soak has a counter here. */
export class ShardMetrics {
  readonly conflicts: Counter;
  readonly fencedAppends: Counter;
  readonly busyAppends: Counter;
  readonly unknownAppends: Counter;
  readonly stragglers: Counter;
  readonly rejections: Counter;
  readonly repeatedCommands: Counter;
  readonly tasksAccepted: Counter;
  readonly tasks: Counter;
  readonly tasksRedriven: Counter;
  readonly deadLetters: Counter;
  readonly retries: Counter;
  readonly interruptions: Counter;
  readonly handovers: Counter;
  readonly suspectsCleared: Counter;
  readonly suspectStarts: Counter;
  readonly abandonedDrivers: Counter;
  readonly actorRestarts: Counter;
  readonly quarantines: Counter;
  readonly snapshotFailures: Counter;
  readonly snapshotWrites: Counter;
  readonly finishedLookups: Counter;
  readonly recoveredTasks: Counter;
  readonly #runningStages: Gauge;
  readonly #queuedStages: Gauge;
  readonly #suspectsWaiting: Gauge;
  readonly passivations: Counter;
  readonly activations: Counter;
  readonly activationFailures: Counter;
  readonly stageSeconds: Histogram;
  readonly stageQueueSeconds: Histogram;
  readonly recoverySeconds: Histogram;
  readonly activationSeconds: Histogram;
  readonly #commits: Counter;
  readonly #commitSeconds: Histogram;
  readonly #commitRecords: Histogram;
  readonly #commitBytes: Counter;
  readonly #unknownResolved: Counter;

  constructor(metrics: Metrics) {
    const catalog = metricCatalog;
    this.#commits = metrics.counter(catalog.commits);
    this.#commitBytes = metrics.counter(catalog.commitBytes);
    this.#commitSeconds = metrics.histogram(catalog.commitSeconds);
    this.#commitRecords = metrics.histogram(catalog.commitRecords);
    this.#unknownResolved = metrics.counter(catalog.unknownResolved);
    this.conflicts = metrics.counter(catalog.conflicts);
    this.fencedAppends = metrics.counter(catalog.fencedAppends);
    this.busyAppends = metrics.counter(catalog.busyAppends);
    this.unknownAppends = metrics.counter(catalog.unknownAppends);
    // There from the start, so that the first one is seen as an increase: somebody is to be woken up by it.
    this.unknownAppends.add(0, { code: 'STORAGE_FULL' });
    this.stragglers = metrics.counter(catalog.stragglers);
    this.rejections = metrics.counter(catalog.rejections);
    this.repeatedCommands = metrics.counter(catalog.repeatedCommands);
    this.tasksAccepted = metrics.counter(catalog.tasksAccepted);
    this.tasks = metrics.counter(catalog.tasks);
    this.tasksRedriven = metrics.counter(catalog.tasksRedriven);
    this.deadLetters = metrics.counter(catalog.deadLetters);
    this.retries = metrics.counter(catalog.retries);
    this.interruptions = metrics.counter(catalog.interruptions);
    this.handovers = metrics.counter(catalog.handovers);
    this.suspectStarts = metrics.counter(catalog.suspectStarts);
    this.suspectsCleared = metrics.counter(catalog.suspectsCleared);
    this.abandonedDrivers = metrics.counter(catalog.abandonedDrivers);
    this.actorRestarts = metrics.counter(catalog.actorRestarts);
    this.quarantines = metrics.counter(catalog.quarantines);
    this.snapshotFailures = metrics.counter(catalog.snapshotFailures);
    this.snapshotWrites = metrics.counter(catalog.snapshotWrites);
    this.finishedLookups = metrics.counter(catalog.finishedLookups);
    this.recoveredTasks = metrics.counter(catalog.recoveredTasks);
    this.#runningStages = metrics.gauge(catalog.runningStages);
    this.#queuedStages = metrics.gauge(catalog.queuedStages);
    this.#suspectsWaiting = metrics.gauge(catalog.suspectsWaiting);
    this.passivations = metrics.counter(catalog.passivations);
    this.activations = metrics.counter(catalog.activations);
    this.activationFailures = metrics.counter(catalog.activationFailures);
    this.activationSeconds = metrics.histogram(catalog.activationSeconds);
    this.stageSeconds = metrics.histogram(catalog.stageSeconds);
    this.stageQueueSeconds = metrics.histogram(catalog.stageQueueSeconds);
    this.recoverySeconds = metrics.histogram(catalog.recoverySeconds);
  }

  /** The node's slots as they are now. */
  showSlots({ running, waiting, suspectsWaiting }: StageLoad): void {
    this.#runningStages.set(running);
    this.#queuedStages.set(waiting);
    this.#suspectsWaiting.set(suspectsWaiting);
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
