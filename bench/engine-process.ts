import { PinoLogger, startNode } from '../src/index.ts';
import { ownSettings } from './child-process.ts';
import { waitingPipeline, workloadOf } from './workload.ts';

/** Settings of an engine node that is a process of its own. It says `ready` to its parent, and answers what it is asked. */
export interface EngineSettings {
  readonly servers: string | readonly string[];
  readonly namespace: string;
  readonly nodeId: string;
  readonly shards: number;
  readonly replicas: number;
  /** Bytes of each stage's result, and how long a stage takes. */
  readonly resultBytes?: number;
  readonly stageMs?: number;
}

/** The answer to `tasks`. */
export interface EngineTasks {
  readonly shards: number;
  readonly tasks: number;
  readonly running: number;
}

/** The answer to `memory`. */
export interface EngineMemory {
  readonly heapBytes: number;
  readonly residentBytes: number;
}

const { servers, namespace, nodeId, shards, replicas, ...shape } = ownSettings() as EngineSettings;
const node = await startNode({
  pipelines: [workloadOf(shape), waitingPipeline],
  nats: { servers },
  nodeId,
  config: { namespace, shardCount: shards, replicas, maxRunningStages: 1_024 },
  logger: new PinoLogger({ level: 'error', destination: 'stderr', format: 'json' }),
});
process.send?.('ready');
process.on('disconnect', () => process.exit(1));
process.on('message', (message) => {
  if (message === 'tasks') {
    const { owned } = node.status;
    const sum = (of: 'tasks' | 'running'): number => owned.reduce((total, shard) => total + shard[of], 0);
    process.send?.({ shards: owned.length, tasks: sum('tasks'), running: sum('running') } satisfies EngineTasks);
  } else if (message === 'memory') {
    (globalThis as { gc?: () => void }).gc?.();
    const { heapUsed, external, rss } = process.memoryUsage();
    process.send?.({ heapBytes: heapUsed + external, residentBytes: rss } satisfies EngineMemory);
  } else {
    void node.stop().then(() => process.exit(0));
  }
});
