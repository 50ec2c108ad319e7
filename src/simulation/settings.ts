import { detectorDefaults, type DetectorPolicy } from '../cluster/failure-detector.ts';
import { resolveConfig, type EngineConfig } from '../core/config.ts';
import type { Random } from '../ports/random.ts';
import type { FaultMix } from './fault-plan.ts';

/** What a seed decides of the world beside its faults. */
export interface WorldSettings {
  readonly config: EngineConfig;
  readonly nodes: number;
  readonly replicas: 1 | 3;
  readonly tasks: number;
  readonly detector: DetectorPolicy;
}

/** Draws the cluster of a seed: sizes and settings from the ordinary to the narrow, for a bound that is never met is never tested. */
export function drawSettings(
  random: Random,
  given: {
    readonly nodes?: number | undefined;
    readonly config?: Partial<EngineConfig> | undefined;
    readonly tasks?: number | undefined;
    readonly mix: FaultMix;
  },
): WorldSettings {
  const pick = <Item>(...items: readonly [Item, ...Item[]]): Item =>
    items[Math.floor(random.next() * items.length)] ?? items[0];
  const nodes = pick(3, 3, 3, 4, 5);
  const replicas = pick<1 | 3>(1, 3);
  const tasks = pick(20, 40, 60, 100);
  const [leaseTtlMs, leaseRenewMs] = pick([20_000, 5_000], [20_000, 5_000], [9_000, 3_000], [4_000, 1_000]);
  const drawn: Partial<EngineConfig> = {
    namespace: 'sim',
    replicas,
    shardCount: pick(3, 6, 8, 12),
    leaseTtlMs,
    leaseRenewMs,
    clusterPollMs: pick(1_000, 2_000, 400, 5_000),
    maxMoves: pick(1, 4, 16),
    mailboxCapacity: pick(64, 64, 2),
    dedupWindowSize: pick(32, 32, 4),
    maxPendingRecords: pick(4_096, 4_096, 3),
    maxWaitingMessages: pick(8_192, 8_192, 20),
    maxRunningStages: pick(256, 256, 6),
    breakerFailureThreshold: pick(20, 5, 3),
    breakerOpenMs: pick(5_000, 1_000),
    breakerMaxOpenMs: 20_000,
    abortGraceMs: pick(5_000, 1_000, 50),
    maxInterruptions: pick(5, 5, 1),
    suspectProbationMs: pick(5_000, 500),
    maxHandovers: pick(100, 100, 3),
    inlinePayloadBytes: pick(64 * 1024, 64 * 1024, 256),
    snapshotIntervalMs: pick(1_000, 1_000, 200, 10_000),
    snapshotEveryRecords: pick(5_000, 5_000, 20, 3),
    auditWindowMs: pick(7 * 24 * 3_600_000, 60_000, 0),
    maxResultWaitMs: pick(20_000, 2_000),
    drainGraceMs: pick(10_000, 2_000),
  };
  // Heartbeats are most of what happens in a quiet cluster; with fewer of them a seed comes to more else.
  const heartbeatScale = pick(1, 4, 6);
  // Drawn last: the seeds of before keep all else that they drew.
  const passivateAfterMs = pick(10_000, 1_000, 0);
  const maxResidentTasks = pick(50_000, 50_000, 3);
  return {
    detector: given.mix === 'sparse' ? detectorDefaults : scaled(heartbeatScale),
    config: resolveConfig({ ...drawn, passivateAfterMs, maxResidentTasks, ...given.config }),
    nodes: given.nodes ?? nodes,
    replicas,
    tasks: given.tasks ?? tasks,
  };
}

function scaled(factor: number): DetectorPolicy {
  return {
    ...detectorDefaults,
    heartbeatIntervalMs: detectorDefaults.heartbeatIntervalMs * factor,
    heartbeatTimeoutMs: detectorDefaults.heartbeatTimeoutMs * factor,
    confirmIntervalMs: detectorDefaults.confirmIntervalMs * factor,
    silentGraceMs: detectorDefaults.silentGraceMs * factor,
  };
}
