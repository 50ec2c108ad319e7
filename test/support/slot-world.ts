import type { BreakerOutcome } from '../../src/core/circuit-breaker.ts';
import type { EngineConfig } from '../../src/core/config.ts';
import type { PortName } from '../../src/core/ids.ts';
import type { StageSpec } from '../../src/pipeline/definition.ts';
import { PortBreakers } from '../../src/shard/port-breakers.ts';
import { StageSlots, type Slot, type SlotWaiter } from '../../src/shard/stage-slots.ts';
import { MemoryLogger, MemoryMetrics, VirtualClock } from '../../src/testing.ts';
import { aConfig } from './shard-kit.ts';

/** As much of a stage as slots look at. */
export function specOf(concurrency: number | null, port: string | null = null): StageSpec {
  return { concurrency, port: port as PortName | null } as StageSpec;
}

/** The slots of a node with the breakers of its ports, who was granted a slot, and which slots are taken. */
export class SlotWorld {
  readonly clock = new VirtualClock();
  readonly logger = new MemoryLogger();
  readonly metrics = new MemoryMetrics();
  readonly breakers: PortBreakers;
  readonly slots: StageSlots;
  readonly granted: string[] = [];
  readonly #held = new Map<string, Slot[]>();

  constructor(maxRunningStages: number, config: Partial<EngineConfig> = {}) {
    const deps = { clock: this.clock, logger: this.logger, metrics: this.metrics };
    const settings = { ...deps, config: aConfig({ maxRunningStages, ...config }) };
    this.breakers = new PortBreakers(settings);
    this.slots = new StageSlots({ ...settings, breakers: this.breakers });
  }

  /** Takes a slot of the stage, and keeps it for {@link release}. */
  take(key: string, port: string | null = null): void {
    this.hold(this.slots.take(key, specOf(null, port)));
  }

  /** Keeps a slot that was granted. */
  hold(slot: Slot): void {
    this.#held.set(slot.key, [...(this.#held.get(slot.key) ?? []), slot]);
  }

  /** How many slots of the stage are taken. */
  heldOf(key: string): number {
    return this.#held.get(key)?.length ?? 0;
  }

  /** Gives the stage's oldest slot back. */
  release(key: string, outcome: BreakerOutcome = 'succeeded'): void {
    const slot = this.#held.get(key)?.shift();
    if (slot === undefined) throw new Error(`no slot of ${key} is taken`);
    this.slots.release(slot, outcome);
  }

  wait(key: string, label: string, concurrency: number | null = null, port: string | null = null): SlotWaiter {
    const waiter: SlotWaiter = {
      key,
      spec: specOf(concurrency, port),
      onGranted: (slot) => {
        this.hold(slot);
        this.granted.push(label);
      },
    };
    this.slots.wait(waiter);
    return waiter;
  }
}
