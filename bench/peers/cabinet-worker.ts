import { PinoLogger, startNode } from '../../src/index.ts';
import { serveWorker } from './load-client.ts';
import { workload } from '../workload.ts';

// One node of this engine: `cabinet-worker <nats url> <namespace>`.

const [, , servers = '', namespace = 'bench'] = process.argv;
const node = await startNode({
  pipelines: [workload],
  nats: { servers },
  nodeId: 'bench',
  config: { namespace, shardCount: 8, maxRunningStages: 1_024 },
  logger: new PinoLogger({ level: 'error', destination: 'stderr', format: 'json' }),
});
serveWorker(() => node.stop());
