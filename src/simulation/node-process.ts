import { PayloadStore } from '../actors/payload-store.ts';
import type { ProcessName } from '../checking/history-events.ts';
import { asError } from '../core/errors.ts';
import { parseNodeId, type Sequence, type ShardId } from '../core/ids.ts';
import { metricCatalog } from '../ports/metric-catalog.ts';
import { PipelineRegistry } from '../pipeline/registry.ts';
import { SeededRandom } from '../platform/seeded-random.ts';
import { Engine, type EngineDeps } from '../supervisor/engine.ts';
import { serveShard } from '../transport/shard-service.ts';
import { Connection } from './connection.ts';
import { SimulatedBus } from './simulated-bus.ts';
import { SimulatedProcess } from './simulated-process.ts';
import { StoreClient } from './store-client.ts';
import { ServiceWatch } from './watched-ports.ts';
import type { WorldPorts } from './world-pipelines.ts';
import { serverMachines, type WorldParts } from './world-parts.ts';

/** How a node's process ended by itself. */
export type NodeEnd = 'drained' | 'failed';

const maximumReplyBytes = 1024 * 1024;

/** One life of a node: a process with the real engine in it, over ports of the simulated world. */
export class NodeProcess {
  readonly process: SimulatedProcess;
  readonly engine: Engine;
  readonly connections: Readonly<Record<'bus' | 'store', Connection>>;
  readonly #parts: WorldParts;
  readonly #nodeId: string;
  readonly #services: ServiceWatch;
  readonly #epochs = new Map<ShardId, number>();
  readonly #refused = new Set<string>();
  readonly #onEnd: (how: NodeEnd) => void;
  #isEnded = false;

  /** @param onEnd - it has ended by itself */
  constructor(
    parts: WorldParts,
    life: { readonly nodeId: string; readonly number: number; readonly wallOffsetMs: number },
    onEnd: (how: NodeEnd) => void,
  ) {
    this.#parts = parts;
    this.#nodeId = life.nodeId;
    this.#onEnd = onEnd;
    const { scheduler, network, startAt } = parts;
    this.process = new SimulatedProcess(scheduler, {
      name: `${life.nodeId}#${life.number}`,
      machine: life.nodeId,
      startAt,
      clockRate: parts.clockRateOf(life.nodeId),
      wallOffsetMs: life.wallOffsetMs,
    });
    const connect = (server: string): Connection => new Connection({ network, process: this.process, server });
    this.connections = { bus: connect(serverMachines.bus), store: connect(serverMachines.store) };
    this.#services = new ServiceWatch(parts);
    this.engine = this.#build();
    for (const connection of Object.values(this.connections)) {
      connection.watch({ onUp: () => this.process.enter(() => this.engine.linkRestored()) });
    }
  }

  /** Starts the engine; what comes of it, `onEnd` tells. */
  start(): void {
    this.#parts.record({ type: 'process.started', ...this.name, at: this.#parts.now() });
    this.engine.start().catch((thrown: unknown) => {
      if (!this.process.isAlive) return;
      this.#parts.log.loggerOf(this.process.name).warn({ err: asError(thrown) }, 'a node did not start');
      this.#end('failed');
    });
  }

  /** Hands everything over and ends. */
  drain(graceMs: number): void {
    if (!this.process.isAlive) return;
    this.process.enter(() => {
      this.#parts.record({ type: 'process.draining', ...this.name, graceMs, at: this.#parts.now() });
      this.engine.stop({ graceMs }).then(
        () => this.#end('drained'),
        () => this.#end('failed'),
      );
    });
  }

  /** As `kill -9`. */
  kill(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#services.crashed();
    this.#parts.record({ type: 'process.ended', ...this.name, how: 'killed', at: this.#parts.now() });
    this.process.kill();
  }

  /** Its node and the life that its lease tells of. */
  get name(): ProcessName {
    return { node: this.#nodeId, incarnation: this.engine.status.incarnation };
  }

  #end(how: NodeEnd): void {
    if (this.#isEnded || !this.process.isAlive) return;
    this.#isEnded = true;
    if (how === 'failed') this.#services.crashed();
    const exitCode = how === 'drained' ? 0 : 1;
    this.#parts.record({ type: 'process.ended', ...this.name, how, exitCode, at: this.#parts.now() });
    this.process.kill();
    this.#onEnd(how);
  }

  #build(): Engine {
    const { config, store: server, metrics, log, world, ports, pipelines, shards } = this.#parts;
    const { process, connections } = this;
    const { clock } = process;
    const { namespace } = config;
    const logger = log.loggerOf(process.name);
    const store = new StoreClient({ server, connection: connections.store, logger, namespace });
    const bus = new SimulatedBus({ server: this.#parts.bus, connection: connections.bus, logger });
    const unanswerable = metrics.counter(metricCatalog.unanswerableRequests);
    const service = { bus, namespace, logger, unanswerable, maximumReplyBytes };
    const journal = shards.watchJournal(store.journal, {
      onClaim: (shard, epoch) => void this.#epochs.set(shard, epoch),
      onConflict: (shard, epoch) => void this.#refused.add(`${shard}.${epoch}`),
    });
    const serve: EngineDeps['serve'] = async (shard, deliver) => {
      const epoch = this.#epochs.get(shard) ?? 0;
      const owner = { name: shards.ownerOf({ shard, epoch }), epoch };
      const inner = await serveShard(service, shard, this.#services.watchReplies(shard, owner, deliver));
      return this.#services.opened(shard, owner, inner, () =>
        this.#refused.has(`${shard}.${epoch}`) ? 'lost' : 'released',
      );
    };
    return new Engine({
      config,
      nodeId: parseNodeId(this.#nodeId),
      clock,
      random: new SeededRandom(this.#parts.nextSeed()),
      logger,
      metrics,
      journal,
      snapshots: store.snapshots,
      leases: store.leases,
      bus,
      payloads: new PayloadStore({ blobs: store.blobs, config }),
      blobs: store.blobs,
      registry: new PipelineRegistry(pipelines),
      ports: { ...ports, ...({ world, process } satisfies WorldPorts), clock },
      serve,
      projectedThrough: () => Number.MAX_SAFE_INTEGER as Sequence,
      watchesEventLoop: false,
      detector: this.#parts.detector,
      onFailed: (error) => {
        logger.error({ err: error }, 'a node has failed');
        this.#end('failed');
      },
    });
  }
}
