import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client, ClusterStatus } from '../../src/client.ts';
import { CliFolder, type CliRun } from '../support/cli.ts';
import type { EngineChild } from '../support/engine-child.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { eventually } from '../support/nats-world.ts';

const shardCount = 12;
const nodeIds = ['n-1', 'n-2', 'n-3'];

describe('orders by the command line for three engine processes', () => {
  let world: EngineWorld;
  let client: Client;
  let folder: CliFolder;
  const engines = new Map<string, EngineChild>();

  beforeAll(async () => {
    world = await EngineWorld.start({ config: { shardCount } });
    folder = await CliFolder.create();
    for (const nodeId of nodeIds) engines.set(nodeId, await world.startEngine({ nodeId }));
    client = await world.connect();
    await untilShared();
  });

  afterAll(async () => {
    await folder?.remove();
    await world?.stop();
  });

  const cabinet = (...words: readonly string[]): Promise<CliRun> =>
    folder.run([...words, '--no-config', '--nats', world.nats.urls.join(','), '--namespace', 'it', '--timeout', '60s']);

  const shardsOf = async (nodeId: string): Promise<readonly number[]> =>
    ((await engines.get(nodeId)?.status())?.owned ?? []).map(({ shard }) => shard);

  /** Until all nodes are up and every shard is served where it should be. */
  function untilShared(): Promise<void> {
    return eventually(
      'the shards are where they should be',
      async () => {
        const { isBalanced, nodes } = await client.cluster.status();
        return isBalanced && nodes.filter(({ status }) => status === 'up').length === nodeIds.length;
      },
      60_000,
    );
  }

  it('R-WRK-2 I20: a shard that is moved under load is at its node when the command ends, and nothing is lost or done twice', async () => {
    const [shard = -1] = await shardsOf('n-1');
    const planned = await cabinet('shard', 'move', String(shard), 'n-2', '--dry-run', '-o', 'jsonl');
    expect(planned.lines()).toContainEqual(expect.objectContaining({ shard, from: 'n-1', to: 'n-2', pinnedTo: 'n-2' }));
    const submitted = world.submitOrders(client, 'moved', 60);
    await world.ledger.interrupt(20, 'applied', () => Promise.resolve());
    const moved = await cabinet('shard', 'move', String(shard), 'n-2', '--json');
    expect(moved).toMatchObject({ code: 0 });
    expect(moved.json()).toEqual({ shard, pinnedTo: 'n-2', pinnedBefore: null, owner: 'n-2' });
    await submitted;
    await world.untilAllEnd(client);
    await world.expectAllDone();
    expect((await cabinet('shard', 'list')).stdout).toMatch(
      new RegExp(`^ *${shard} +n-2 +n-2 +n-2 .*pinned to n-2$`, 'm'),
    );
    expect((await cabinet('shard', 'unpin', String(shard), '--json')).json()).toMatchObject({ pinnedBefore: 'n-2' });
    // Nodes hear of the unpin within their next look; until then all is where it should be, with the pin.
    await eventually('it is back at its node', async () => (await shardsOf('n-1')).includes(shard), 60_000);
    await untilShared();
    expect(await shardsOf('n-1')).toContain(shard);
  });

  it('R-WRK-2: a drain holds over a restart of its process, and a cordon for one that is down holds when it starts', async () => {
    expect((await cabinet('node', 'drain', 'n-2', '--json')).json()).toMatchObject({ status: { draining: true } });
    await eventually('it has nothing more', async () => (await shardsOf('n-2')).length === 0, 30_000);
    expect(await engines.get('n-2')?.terminate()).toBe(0);
    engines.set('n-2', await world.startEngine({ nodeId: 'n-2' }));
    expect(await engines.get('n-2')?.status()).toMatchObject({ draining: true, owned: [] });

    await engines.get('n-3')?.kill();
    const cordoned = await cabinet('node', 'cordon', 'n-3', '--json');
    expect(cordoned.json()).toEqual({ nodeId: 'n-3', order: 'cordoned', status: null });
    expect(cordoned.stderr).toContain('node n-3 is not up; the order is kept');
    await eventually('the first node has all', async () => (await shardsOf('n-1')).length === shardCount, 60_000);
    engines.set('n-3', await world.startEngine({ nodeId: 'n-3' }));
    expect(await engines.get('n-3')?.status()).toMatchObject({ cordoned: true, owned: [] });
    await world.submitOrders(client, 'ordered', 20);
    await world.untilAllEnd(client);
    expect((await cabinet('node', 'list', '--json')).json()).toMatchObject({
      nodes: [
        { nodeId: 'n-1', status: 'up', order: null, owned: shardCount },
        { nodeId: 'n-2', status: 'draining', order: 'draining', owned: 0 },
        { nodeId: 'n-3', status: 'cordoned', order: 'cordoned', owned: 0 },
      ],
      waitingOrders: [],
    });
    const refused = await cabinet('shard', 'move', '0', 'n-3');
    expect(refused).toMatchObject({ code: 7 });
    expect(refused.stderr).toContain('error NOT_ALLOWED: node n-3 is cordoned: it takes no shard');
    const both = await Promise.all([cabinet('node', 'uncordon', 'n-2'), cabinet('node', 'uncordon', 'n-3')]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    await untilShared();
    await world.expectAllDone();
  });

  it('R-WRK-2: a node of capacity 2 gets twice the shards', async () => {
    expect(await engines.get('n-1')?.terminate()).toBe(0);
    const config = { ...world.settings.config, capacity: 2 };
    engines.set('n-1', await world.startEngine({ nodeId: 'n-1', config }));
    // The others may not have heard yet that it has come back, and with which capacity.
    await eventually('it has twice the shards', async () => (await shardsOf('n-1')).length >= 5, 60_000);
    await untilShared();
    expect((await shardsOf('n-1')).length).toBeGreaterThanOrEqual(5);
    const status = (await cabinet('cluster', 'status', '--json')).json() as ClusterStatus;
    expect(status.nodes.map(({ nodeId, capacity }) => [nodeId, capacity])).toEqual([
      ['n-1', 2],
      ['n-2', 1],
      ['n-3', 1],
    ]);
    expect(status.nodes.every(({ loopLagMs }) => loopLagMs !== null)).toBe(true);
  });

  it('NODE_NOT_FOUND and INVALID_ARGUMENT: exit 3 and 2', async () => {
    const runs = await Promise.all([
      cabinet('shard', 'move', '0', 'n-9'),
      cabinet('node', 'cordon', 'n-9'),
      cabinet('shard', 'move', String(shardCount), 'n-1'),
      cabinet('shard', 'unpin', 'none'),
    ]);
    expect(runs.map(({ code }) => code)).toEqual([3, 3, 2, 2]);
    expect(runs[2]?.stderr).toContain(`there is no shard ${shardCount}`);
  });
});
