import { startNode } from '../../src/node.ts';
import { PinoLogger } from '../../src/platform/pino-logger.ts';
import { PrometheusMetrics } from '../../src/platform/prometheus-metrics.ts';
import { listingPipeline, longPipeline } from './console-pipelines.ts';

// One engine node as a process of its own, started by `startConsoleWorld`. It tells its numbers once a second.

const { nodeId, servers } = JSON.parse(process.argv[2] ?? '{}') as {
  readonly nodeId: string;
  readonly servers: readonly string[];
};
const metrics = new PrometheusMetrics();
await startNode({
  pipelines: [listingPipeline, longPipeline],
  nodeId,
  nats: { servers },
  // Short leases: a test that kills a node waits for its successor.
  config: { shardCount: 16, leaseTtlMs: 3_000, leaseRenewMs: 500, clusterPollMs: 250 },
  metrics,
  logger: new PinoLogger({ format: 'json', level: 'warn' }),
});
process.send?.({ type: 'ready' });
setInterval(() => void metrics.snapshot().then((snapshot) => process.send?.({ type: 'metrics', snapshot })), 1_000);
process.once('disconnect', () => process.exit(1));
