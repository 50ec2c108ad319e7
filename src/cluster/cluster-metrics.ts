import { metricCatalog } from '../ports/metric-catalog.ts';
import type { Counter, Gauge, Histogram, Metrics } from '../ports/metrics.ts';
import type { PlannedAcquire } from './assignment-plan.ts';

/** The numbers of one node's part in the cluster. No label names a node. */
export class ClusterMetrics {
  readonly members: Gauge;
  readonly view: Gauge;
  readonly shardsFailing: Gauge;
  readonly handovers: Counter;
  readonly renewalFailures: Counter;
  readonly missedHeartbeats: Counter;
  readonly lostLeases: Counter;
  readonly #takeovers: Counter;
  readonly #takeoverSeconds: Histogram;

  constructor(metrics: Metrics) {
    this.members = metrics.gauge(metricCatalog.clusterMembers);
    this.view = metrics.gauge(metricCatalog.clusterView);
    this.shardsFailing = metrics.gauge(metricCatalog.shardsFailing);
    this.handovers = metrics.counter(metricCatalog.shardHandovers);
    this.renewalFailures = metrics.counter(metricCatalog.renewalFailures);
    this.missedHeartbeats = metrics.counter(metricCatalog.missedHeartbeats);
    this.lostLeases = metrics.counter(metricCatalog.lostLeases);
    this.#takeovers = metrics.counter(metricCatalog.takeovers);
    this.#takeoverSeconds = metrics.histogram(metricCatalog.takeoverSeconds);
  }

  /** A shard that was to be taken is served. */
  tookOver(why: PlannedAcquire['why'], durationMs: number): void {
    this.#takeovers.add(1, { why });
    this.#takeoverSeconds.observe(durationMs / 1_000);
  }
}
