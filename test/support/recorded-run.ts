import type { History } from '../../src/checking/history.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';
import { ClusterWorld } from './cluster-world.ts';

/**
 * A run of real engines, a good one in bad times: a node is killed before it has recorded what it did, another one is told to be
 * dead, goes on as a zombie and is refused, and a third one drains.
 */
export async function recordedRun(): Promise<{
  readonly history: History;
  readonly definitions: readonly PipelineDefinition[];
}> {
  const world = new ClusterWorld({ shardCount: 6, snapshotEveryRecords: 5, snapshotIntervalMs: 200 });
  const [first, second, third] = await world.startAll('node-1', 'node-2', 'node-3');
  if (first === undefined || second === undefined || third === undefined) throw new Error('three nodes were started');
  world.load(18, 15);
  await world.advance(100);
  // The others believe it, and it does not hear of that: only the fence is left to stop it.
  world.losesNotices = true;
  third.tellExited();
  await world.advance(400);
  world.losesNotices = false;
  world.load(12, 15);
  await world.advance(100);
  // What its drivers do now is done, and never recorded.
  world.storeGate.shut();
  await world.advance(40);
  await world.test.run(second.kill());
  world.storeGate.open();
  await world.untilDone();
  await world.untilServed();
  world.load(12, 10);
  await world.advance(60);
  await world.test.run(first.stop());
  await world.untilDone();
  await world.stop();
  return { history: await world.history(), definitions: [world.pipeline] };
}
