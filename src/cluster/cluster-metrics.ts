import type { Counter, Gauge, Histogram, Metrics } from '../ports/metrics.ts';
import type { PlannedAcquire } from './assignment-plan.ts';

const takeoverBuckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;

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
    this.members = metrics.gauge({ name: 'cluster_members', help: 'Nodes with a lease, as this node sees them' });
    this.view = metrics.gauge({ name: 'cluster_view', help: "Number of this node's view: grows with each change" });
    this.shardsFailing = metrics.gauge({
      name: 'shards_failing',
      help: 'Shards that fall to this node and that it could not open',
    });
    this.handovers = metrics.counter({ name: 'handovers_total', help: 'Shards handed over in good order' });
    this.renewalFailures = metrics.counter({
      name: 'lease_renewal_failures_total',
      help: 'Renewals of the node lease that failed and were tried again',
    });
    this.missedHeartbeats = metrics.counter({
      name: 'heartbeats_missed_total',
      help: 'Heartbeats of peers that were refused or not answered in time',
    });
    this.lostLeases = metrics.counter({
      name: 'lease_lost_total',
      help: 'Times that the node lease ran out, or another process took it',
    });
    this.#takeovers = metrics.counter({ name: 'takeovers_total', help: 'Shards taken and served', labels: ['why'] });
    this.#takeoverSeconds = metrics.histogram({
      name: 'takeover_seconds',
      help: 'From the decision to take a shard to serving it',
      buckets: takeoverBuckets,
    });
  }

  /** A shard that was to be taken is served. */
  tookOver(why: PlannedAcquire['why'], durationMs: number): void {
    this.#takeovers.add(1, { why });
    this.#takeoverSeconds.observe(durationMs / 1_000);
  }
}
