import { PinoLogger, startNode } from '../src/index.ts';
import { workload } from './workload.ts';

// One engine node as a process of its own: `engine-process <nats url> <namespace> <shards>`. Says `ready` to its parent.

const [, , servers = '', namespace = 'bench', shards = '8'] = process.argv;

const node = await startNode({
  pipelines: [workload],
  nats: { servers },
  nodeId: 'bench',
  config: { namespace, shardCount: Number(shards), maxRunningStages: 1_024 },
  logger: new PinoLogger({ level: 'error', destination: 'stderr', format: 'json' }),
});
process.send?.('ready');
process.on('message', () => void node.stop().then(() => process.exit(0)));
process.on('disconnect', () => process.exit(1));
