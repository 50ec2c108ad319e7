import { metricCatalog } from '../ports/metric-catalog.ts';
import type { Counter, Gauge, Metrics } from '../ports/metrics.ts';
import type { Shard } from '../shard/shard.ts';

/** The numbers that say which shards a node has and how they stand. Most are read off the shards when somebody asks. */
export class OwnershipMetrics {
  readonly lost: Counter;
  readonly #owned: Gauge;
  readonly #mailboxDepth: Gauge;
  readonly #uncommitted: Gauge;
  readonly #stall: Gauge;
  readonly #snapshotLag: Gauge;
  readonly #live: Gauge;
  readonly #resident: Gauge;
  readonly #passive: Gauge;

  constructor(metrics: Metrics, shardCount: number) {
    metrics.gauge(metricCatalog.shards).set(shardCount);
    this.lost = metrics.counter(metricCatalog.shardsLost);
    this.#owned = metrics.gauge(metricCatalog.shardsOwned);
    this.#mailboxDepth = metrics.gauge(metricCatalog.mailboxDepth);
    this.#uncommitted = metrics.gauge(metricCatalog.uncommittedRecords);
    this.#stall = metrics.gauge(metricCatalog.journalStallSeconds);
    this.#snapshotLag = metrics.gauge(metricCatalog.snapshotLagSeconds);
    this.#live = metrics.gauge(metricCatalog.liveTasks);
    this.#resident = metrics.gauge(metricCatalog.residentTasks);
    this.#passive = metrics.gauge(metricCatalog.passiveTasks);
  }

  /** Sets the gauges to how these shards stand now. */
  show(shards: Iterable<Shard>): void {
    let owned = 0;
    let waiting = 0;
    let uncommitted = 0;
    let stalledMs = 0;
    let lagMs = 0;
    let tasks = 0;
    let passive = 0;
    const live = { queued: 0, running: 0, backingOff: 0, held: 0, unknown: 0, deadLettered: 0 };
    for (const { stats } of shards) {
      owned += 1;
      tasks += stats.tasks;
      passive += stats.passive;
      waiting += stats.waiting;
      uncommitted += stats.uncommitted;
      stalledMs = Math.max(stalledMs, stats.stalledMs);
      lagMs = Math.max(lagMs, stats.snapshotLagMs);
      for (const status of Object.keys(live) as (keyof typeof live)[]) live[status] += stats.live[status];
    }
    this.#owned.set(owned);
    this.#mailboxDepth.set(waiting);
    this.#uncommitted.set(uncommitted);
    this.#stall.set(stalledMs / 1_000);
    this.#snapshotLag.set(lagMs / 1_000);
    this.#resident.set(tasks - passive);
    this.#passive.set(passive);
    for (const [status, count] of Object.entries(live)) this.#live.set(count, { status });
  }
}
