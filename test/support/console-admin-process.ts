import { startAdminServer } from '../../src/admin-server.ts';
import { MetricJoin } from '../../src/platform/metric-join.ts';
import { PinoLogger } from '../../src/platform/pino-logger.ts';
import { PrometheusMetrics } from '../../src/platform/prometheus-metrics.ts';
import { SystemClock } from '../../src/platform/system-clock.ts';
import { listingPipeline, longPipeline } from './console-pipelines.ts';

// The admin server as a process of its own, started by `startConsoleWorld`. It is told of the nodes' lives and numbers.

/** What this process is told. */
export type ToAdmin =
  | { readonly type: 'started' | 'ended'; readonly slot: number; readonly life: number }
  | { readonly type: 'metrics'; readonly slot: number; readonly life: number; readonly snapshot: readonly unknown[] }
  | { readonly type: 'stop' };

/** What it tells. */
export interface AdminReady {
  readonly type: 'ready';
  readonly url: string;
  readonly firstToken: string | null;
}

const { servers, dataDir, port } = JSON.parse(process.argv[2] ?? '{}') as {
  readonly servers: readonly string[];
  readonly dataDir: string;
  readonly port: number;
};
const clock = new SystemClock();
const own = new PrometheusMetrics();
const join = new MetricJoin();
process.on('message', (message: ToAdmin) => {
  if (message.type === 'started') join.started(message.slot, message.life);
  else if (message.type === 'ended') join.ended(message.slot, message.life);
  else if (message.type === 'metrics') join.update(message.slot, message.life, message.snapshot, clock.monotonicMs());
});
const admin = await startAdminServer({
  nats: { servers },
  dataDir,
  pipelines: [listingPipeline, longPipeline],
  port,
  engine: { namespace: 'cabinet', replicas: 1, finishedRetentionMs: 3_600_000 },
  metrics: own,
  readMetrics: async () => join.snapshot(clock.monotonicMs(), await own.snapshot()),
  logger: new PinoLogger({ format: 'json', level: 'error' }),
});
const { url, firstToken } = admin;
process.send?.({ type: 'ready', url, firstToken } satisfies AdminReady);
process.on('message', (message: ToAdmin) => {
  if (message.type === 'stop') void admin.stop().then(() => process.exit(0));
});
process.once('disconnect', () => process.exit(1));
