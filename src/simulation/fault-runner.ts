import type { FaultEvent } from '../checking/history-events.ts';
import type { Millis } from '../core/ids.ts';
import { historyKindOf, type PlannedFault } from './fault-plan.ts';
import { goodNetwork, type Network, type NetworkQuality } from './network.ts';
import type { OutsideWorld } from './outside-world.ts';
import type { Scheduler } from './scheduler.ts';
import type { SimulatedNode } from './simulated-node.ts';
import type { StoreServer } from './store-server.ts';

/** What faults are made on. */
export interface FaultTargets {
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly store: StoreServer;
  readonly world: OutsideWorld;
  readonly nodes: readonly SimulatedNode[];
  readonly startAt: Millis;
  readonly record: (event: FaultEvent) => void;
}

/** How long a blocked link stays unnoticed: two pings without an answer. */
const linkTimeoutMs = 10_000;

/** Makes the planned faults, and takes each back in its time. */
export class FaultRunner {
  readonly #targets: FaultTargets;
  readonly #qualities = new Set<Partial<NetworkQuality>>();
  readonly #undo = new Map<number, () => void>();
  /** Outages of the store that are in force. */
  #outages = 0;
  /** Faults that were made. */
  made = 0;
  readonly byKind = new Map<string, number>();

  constructor(targets: FaultTargets) {
    this.#targets = targets;
  }

  /** Sets every fault of the plan. */
  plan(faults: readonly PlannedFault[]): void {
    for (const fault of faults) {
      this.#targets.scheduler.at(fault.atMs, `fault ${fault.kind}`, () => this.#make(fault));
    }
  }

  /** Takes everything back that is still in force. */
  heal(): void {
    for (const undo of this.#undo.values()) undo();
  }

  #make(fault: PlannedFault): void {
    const { scheduler, record, startAt } = this.#targets;
    this.made += 1;
    this.byKind.set(fault.kind, (this.byKind.get(fault.kind) ?? 0) + 1);
    const at = Math.floor(startAt + fault.atMs);
    const until = Math.ceil(startAt + fault.atMs + fault.forMs);
    record({ type: 'fault', kind: historyKindOf(fault), target: this.#targetOf(fault), at, until });
    const undo = this.#apply(fault);
    if (undo === null) return;
    const end = (): void => {
      if (!this.#undo.delete(fault.id)) return;
      undo();
    };
    this.#undo.set(fault.id, end);
    scheduler.at(fault.atMs + fault.forMs, `end of ${fault.kind}`, end);
  }

  #targetOf(fault: PlannedFault): string {
    if ('node' in fault) return fault.node === null ? 'store' : (this.#targets.nodes[fault.node]?.nodeId ?? 'nobody');
    return fault.kind === 'network' || fault.kind === 'outside' ? fault.kind : 'store';
  }

  /** @returns takes it back; null where there is nothing to take back */
  #apply(fault: PlannedFault): (() => void) | null {
    const { store, world, nodes } = this.#targets;
    const node = 'node' in fault && fault.node !== null ? nodes[fault.node] : undefined;
    switch (fault.kind) {
      case 'crash':
        return node?.crash(fault.tellsExit) ?? null;
      case 'pause':
        return node?.freeze() ?? null;
      case 'drain':
        return node?.drain(fault.graceMs) ?? null;
      case 'partition':
        return node === undefined ? null : this.#partition(node, fault);
      case 'disconnect':
        return node === undefined ? null : this.#disconnect(node, fault.server);
      case 'clockJump':
        if (node === undefined) store.jumpWallClock(fault.byMs);
        else node.jumpWallClock(fault.byMs);
        return null;
      case 'storeDown':
        return this.#storeDown(true);
      case 'storeFailover':
        return this.#storeDown(false);
      case 'storeSlow':
        store.condition.slowMs = fault.slowMs;
        return () => (store.condition.slowMs = 0);
      case 'storeFull':
        store.condition.isFull = true;
        return () => (store.condition.isFull = false);
      case 'staleReads':
        store.condition.lagMs = fault.lagMs;
        return () => (store.condition.lagMs = 0);
      case 'network':
        this.#qualities.add(fault.quality);
        this.#setQuality();
        return () => {
          this.#qualities.delete(fault.quality);
          this.#setQuality();
        };
      case 'outside':
        world.condition.failureRate = fault.failureRate;
        return () => (world.condition.failureRate = 0);
      default:
        return fault satisfies never;
    }
  }

  #setQuality(): void {
    this.#targets.network.quality = [...this.#qualities].reduce<NetworkQuality>(
      (quality, one) => ({ ...quality, ...one }),
      goodNetwork,
    );
  }

  #partition(
    node: SimulatedNode,
    { server, way, forMs, atMs }: Extract<PlannedFault, { kind: 'partition' }>,
  ): () => void {
    const { network, scheduler } = this.#targets;
    const servers = server === 'both' ? (['bus', 'store'] as const) : [server];
    const undo: (() => void)[] = [];
    for (const one of servers) {
      if (way !== 'in') undo.push(network.block(node.nodeId, one));
      if (way !== 'out') undo.push(network.block(one, node.nodeId));
      // Its client notices a link that stays silent, and makes a new one when it can.
      const { life } = node;
      if (life === null || forMs < linkTimeoutMs) continue;
      const connection = life.connections[one];
      const noticed = scheduler.at(atMs + linkTimeoutMs, 'link timeout', () => connection.down());
      undo.push(() => {
        noticed.cancel();
        scheduler.after(10, 'reconnect', () => connection.up());
      });
    }
    return () => {
      for (const one of undo) one();
    };
  }

  #disconnect(node: SimulatedNode, server: 'bus' | 'store'): () => void {
    const connection = node.life?.connections[server];
    connection?.down();
    return () => connection?.up();
  }

  /** @param breaksLinks - the server's process is gone, not its leadership alone */
  #storeDown(breaksLinks: boolean): () => void {
    const { store, nodes } = this.#targets;
    this.#outages += 1;
    store.condition.isDown = true;
    store.loseLeaders();
    const connections = breaksLinks ? nodes.flatMap(({ life }) => (life === null ? [] : [life.connections.store])) : [];
    for (const connection of connections) connection.down();
    return () => {
      this.#outages -= 1;
      store.condition.isDown = this.#outages > 0;
      for (const connection of connections) connection.up();
    };
  }
}
