import { ChaosWorld } from '../kit/chaos-world.ts';
import { machineMs } from '../kit/monotonic.ts';
import type { ChaosNode } from '../kit/node-fleet.ts';
import type { NodeLogLine } from '../kit/node-process.ts';
import { percentile } from '../kit/percentiles.ts';
import { runDelayMs } from '../kit/run-delay.ts';
import type { Scenario } from '../kit/scenario.ts';
import { pause, until } from '../kit/wait.ts';

/** The shortest lease that the settings allow. */
const leaseTtlMs = 2_000;
const leaseRenewMs = 600;
const shardCount = 16;
const nodeIds: readonly string[] = ['n-1', 'n-2', 'n-3'];
const load = { tasksPerSecond: 30, maximumInFlight: 400, deadlineMs: 30_000 } as const;
/** A freeze takes from the least to the most of these parts of a lease, short ones as often as long ones. */
const freezeLeases = { least: 0.5, most: 5 } as const;
/** A zombie that has lost shards must have dropped them so long after it woke up, less what it waited for a processor. */
const dropBoundMs = 250;
const dropPatienceMs = 10_000;
const settleTimeoutMs = 30_000;
/** One round in so many kills a third node while the owner is frozen. */
const killEvery = 4;
/** So many rounds must hit a moment with an append about to be sent; fewer may not. */
const roundsForRefusals = 10;
const holdTimeoutMs = 5_000;
/** Tasks of a burst, and how long after it an owner is frozen: it is in the middle of them. */
const burstTasks = 60;
const burstMs = { least: 1, most: 8 } as const;

/** At which moment an owner is frozen. `received` and `applied`: an effect that it asked for is at that point, and not recorded. */
const phases = ['random', 'received', 'applied', 'burst', 'burst'] as const;
type Phase = (typeof phases)[number];

/** When a zombie had dropped what it had lost. */
interface Drop {
  /** From SIGCONT, by the zombie's own log. */
  readonly afterMs: number;
  /** How much of that the process waited for a processor. */
  readonly waitedMs: number;
}

/** What one frozen owner did when it woke up. */
interface Waking {
  /** Shards that another node had taken meanwhile. */
  readonly lost: number;
  /** The end of its last lost shard; null when it had lost none. */
  readonly drop: Drop | null;
}

/** Owners that sleep longer than their lease and wake up as zombies. */
export const zombie: Scenario = {
  rounds: 100,
  summary: 'an owner is frozen for 0.5 to 5 times its lease under load, and wakes up as a zombie',
  run: (options, signal) =>
    ChaosWorld.run(options, { servers: 1, shardCount, config: { leaseTtlMs, leaseRenewMs } }, signal, async (world) => {
      await world.start(nodeIds, load);
      const wakings: Waking[] = [];
      for (let round = 1; round <= options.rounds; round += 1) {
        signal.throwIfAborted();
        wakings.push(await playRound(world, round));
      }
      const { verdict, facts } = await world.judge();
      const drops = wakings.flatMap(({ drop }) => (drop === null ? [] : [drop]));
      const lateDrops = drops.filter(({ afterMs, waitedMs }) => afterMs - waitedMs > dropBoundMs).length;
      const zombies = wakings.filter(({ lost }) => lost > 0).length;
      const violations = [
        ...verdict.violations,
        ...(lateDrops > 0
          ? [`${lateDrops} zombies dropped their shards later than ${dropBoundMs} ms after waking`]
          : []),
        ...(zombies > 0 ? [] : ['no owner lost a shard while it slept']),
        ...(verdict.refusedAppends > 0 || options.rounds < roundsForRefusals
          ? []
          : ['no late append was refused: no zombie has tried one']),
      ];
      const ok = violations.length === 0;
      world.keep(ok, facts);
      return {
        ...verdict,
        zombies,
        dropMsP50: percentile(
          drops.map(({ afterMs }) => afterMs),
          0.5,
        ),
        dropMsMax: percentile(
          drops.map(({ afterMs }) => afterMs),
          1,
        ),
        dropOwnMsMax: percentile(
          drops.map(({ afterMs, waitedMs }) => afterMs - waitedMs),
          1,
        ),
        lateDrops,
        violations,
        ok,
      };
    }),
};

async function playRound(world: ChaosWorld, round: number): Promise<Waking> {
  const { log } = world;
  await pause(world.between(0, 400));
  const freezeMs = leaseTtlMs * freezeLeases.least * (freezeLeases.most / freezeLeases.least) ** world.random.next();
  const victim = await freezeAt(world, world.pick(phases), round);
  const heldBefore = await shardsOf(world, victim.nodeId);
  const third = round % killEvery === 0 ? world.pick(world.fleet.running.filter((node) => node !== victim)) : null;
  const killAfterMs = world.between(0, freezeMs);
  if (third !== null) {
    await pause(killAfterMs);
    log.fault('kill', third.nodeId, 'while the other one is frozen', third.nodeId);
    await third.kill();
    await pause(freezeMs - killAfterMs);
  } else {
    await pause(freezeMs);
  }
  const lost = await lostShards(world, victim.nodeId, heldBefore);
  const woken = { atMs: machineMs(), runDelayMs: runDelayMs(victim.pid) };
  victim.resume();
  log.tell(
    'resume',
    victim.nodeId,
    `after ${Math.round(freezeMs)} ms; ${lost.length} of ${heldBefore.size} shards are another's`,
  );
  const drop = lost.length === 0 ? null : await dropOf(victim, lost, woken);
  if (drop !== null) {
    const waited = drop.waitedMs < 1 ? '' : `, ${Math.round(drop.waitedMs)} ms of them without a processor`;
    log.tell(
      'dropped',
      victim.nodeId,
      `${lost.length} shards, ${Math.round(drop.afterMs)} ms after it woke up${waited}`,
    );
  }
  if (third !== null) {
    const restarted = await world.fleet.start(third.nodeId);
    log.tell('start', restarted.nodeId, `pid ${restarted.pid}`);
  }
  const settledMs = await until(
    'the cluster has settled',
    async () => {
      const imbalance = await world.view.imbalance(nodeIds).catch((error: unknown) => String(error));
      return imbalance === null && (await world.view.unserved()).length === 0;
    },
    settleTimeoutMs,
  );
  log.tell('settled', 'all', `round ${round}, ${Math.round(settledMs)} ms`);
  await pause(world.between(500, 1_500));
  return { lost: lost.length, drop };
}

async function freezeAt(world: ChaosWorld, phase: Phase, round: number): Promise<ChaosNode> {
  const freeze = (node: ChaosNode): ChaosNode => {
    world.log.fault('freeze', node.nodeId, `round ${round}, ${phase}`, node.nodeId);
    node.freeze();
    return node;
  };
  if (phase === 'random') return freeze(world.pick(world.fleet.running));
  if (phase === 'burst') {
    await world.load.burst(burstTasks);
    await pause(world.between(burstMs.least, burstMs.most));
    return freeze(world.pick(world.fleet.running));
  }
  let frozen: ChaosNode | undefined;
  await world.ledger.during(
    phase,
    async (shard) => {
      const { owner } = await world.view.lock(shard);
      frozen = freeze(world.fleet.node(owner?.nodeId ?? '') ?? world.pick(world.fleet.running));
    },
    holdTimeoutMs,
  );
  return frozen ?? freeze(world.pick(world.fleet.running));
}

/** The node's shards with the epoch of each. */
async function shardsOf(world: ChaosWorld, nodeId: string): Promise<ReadonlyMap<number, number>> {
  const locks = await world.view.locks();
  return new Map(
    locks.filter(({ owner }) => owner?.nodeId === nodeId).map(({ shard, epoch }) => [shard as number, epoch as number]),
  );
}

async function lostShards(
  world: ChaosWorld,
  nodeId: string,
  heldBefore: ReadonlyMap<number, number>,
): Promise<readonly number[]> {
  const locks = await world.view.locks();
  return locks
    .filter(({ shard, epoch, owner }) => {
      const before = heldBefore.get(shard);
      return before !== undefined && epoch > before && owner?.nodeId !== nodeId;
    })
    .map(({ shard }) => shard as number);
}

/** When the last of these shards was dropped, by the zombie's own log. */
async function dropOf(
  zombieNode: ChaosNode,
  lost: readonly number[],
  woken: { readonly atMs: number; readonly runDelayMs: number },
): Promise<Drop> {
  const dropLine = (shard: number): NodeLogLine | undefined =>
    zombieNode.log.find(
      ({ message, atMs, shard: of }) =>
        atMs >= woken.atMs &&
        (message.startsWith('the node lease was not renewed in time') ||
          (message === 'a shard was lost' && of === shard)),
    );
  await until(
    `${zombieNode.nodeId} drops its shards`,
    () => lost.every((shard) => dropLine(shard) !== undefined),
    dropPatienceMs,
  );
  const lines = lost.flatMap((shard) => dropLine(shard) ?? []);
  return {
    afterMs: Math.max(...lines.map(({ atMs }) => atMs)) - woken.atMs,
    waitedMs: Math.max(...lines.map((line) => line.runDelayMs ?? 0)) - woken.runDelayMs,
  };
}
