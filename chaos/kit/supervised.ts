import { join } from 'node:path';
import type { ConfigFileSupervisor } from '../../src/config-file.ts';
import type { EngineConfig } from '../../src/core/config.ts';
import type { ChaosWorld } from './chaos-world.ts';
import { SupervisorChild } from './supervisor-child.ts';

/** Starts a supervisor in the world; it is stopped with it. The world's settings are in its configuration file. */
export async function supervise(
  world: ChaosWorld,
  options: {
    readonly baseId: string;
    readonly nodes: number;
    readonly supervisor?: ConfigFileSupervisor;
    readonly engine?: Partial<EngineConfig>;
    readonly env?: Readonly<Record<string, string>>;
  },
): Promise<SupervisorChild> {
  const { baseId, nodes, supervisor = {}, engine = {}, env = {} } = options;
  const { servers, ledgerUrl, config } = world.settings;
  const started = await SupervisorChild.start({
    baseId,
    nodes,
    folder: join(world.folder, baseId),
    config: { ports: { ledgerUrl }, engine: { ...config, ...engine }, nats: { servers }, supervisor },
    env,
  });
  world.defer(`supervisor ${baseId}`, () => started.stop());
  const pids = started.workers.map(({ nodeId, pid }) => `${nodeId} ${pid}`);
  world.log.tell('start', baseId, `pid ${started.pid}; ${pids.join(', ')}`);
  return started;
}
