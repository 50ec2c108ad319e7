import { ChaosWorld } from '../kit/chaos-world.ts';
import { percentile } from '../kit/percentiles.ts';
import type { Scenario } from '../kit/scenario.ts';
import { ShardGaps } from '../kit/shard-gaps.ts';
import { movesOfChanges, type MembershipChange } from '../kit/shard-moves.ts';
import { pause, until } from '../kit/wait.ts';

const shardCount = 32;
const rounds = 18;
const mostNodes = 6;
const load = { tasksPerSecond: 30, maximumInFlight: 400, deadlineMs: 30_000 } as const;
/** From one change to the next; a shortened run changes as soon as the cluster is balanced. */
const changeIntervalMs = 10_000;
/** Longest that a shard may be without an owner. */
const gapBoundMs = 6_000;
/** How soon after the last change the loads must be within their bounds. */
const balanceBoundMs = 8_000;
const balancePatienceMs = 20_000;
/** A shard may move so often for one change. */
const movesBound = 2;

/** A cluster that grows from one node to six and shrinks again, all the time. */
export const churn: Scenario = {
  rounds,
  summary: 'nodes join and leave (by SIGTERM or kill -9), one every 10 s, between 1 and 6 of them',
  run: (options, signal) =>
    ChaosWorld.run(options, { servers: 1, shardCount }, signal, async (world) => {
      await world.start(['n-1'], load);
      const gaps = new ShardGaps(world.view);
      gaps.start();
      const changes: MembershipChange[] = [];
      const balanceMs: number[] = [];
      // Up and down again within the rounds, however few they are.
      const steps = Math.min(mostNodes - 1, Math.max(1, Math.floor(options.rounds / 2)));
      try {
        for (let round = 1; round <= options.rounds; round += 1) {
          signal.throwIfAborted();
          const startedMs = performance.now();
          const at = Date.now();
          const isJoin = (round - 1) % (2 * steps) < steps;
          if (isJoin) await join(world, `n-${round + 1}`);
          else await leave(world);
          changes.push({ at });
          balanceMs.push(await untilBalanced(world, round));
          const isFull = options.rounds >= rounds;
          if (isFull) await pause(Math.max(0, changeIntervalMs - (performance.now() - startedMs)));
        }
      } finally {
        await gaps.stop();
      }
      const { verdict, facts } = await world.judge();
      const gapTimes = gaps.gaps.map(({ gapMs }) => gapMs);
      const moves = movesOfChanges(facts.entries, changes);
      const movedMost = moves.filter(({ most }) => most > movesBound).length;
      const lastBalanceMs = balanceMs.at(-1) ?? 0;
      const violations = [
        ...verdict.violations,
        ...gaps.gaps
          .filter(({ gapMs }) => gapMs > gapBoundMs)
          .map(({ shard, gapMs }) => `shard ${shard} was without an owner for ${Math.round(gapMs)} ms`),
        ...(lastBalanceMs > balanceBoundMs
          ? [`the loads were balanced ${Math.round(lastBalanceMs)} ms after the last change`]
          : []),
        ...(movedMost > 0 ? [`I22: after ${movedMost} changes a shard moved more than ${movesBound} times`] : []),
      ];
      const ok = violations.length === 0;
      world.keep(ok, facts);
      return {
        ...verdict,
        samples: gaps.samples,
        gapMsP50: percentile(gapTimes, 0.5),
        gapMsMax: percentile(gapTimes, 1),
        balanceMsP50: percentile(balanceMs, 0.5),
        balanceMsMax: percentile(balanceMs, 1),
        movedByChange: moves.map(({ moved }) => moved),
        violations,
        ok,
      };
    }),
};

async function join(world: ChaosWorld, nodeId: string): Promise<void> {
  world.log.fault('join', nodeId, `beside ${world.fleet.running.length}`);
  await world.fleet.start(nodeId);
}

async function leave(world: ChaosWorld): Promise<void> {
  const node = world.pick(world.fleet.running);
  if (world.random.next() < 0.5) {
    world.log.fault('kill', node.nodeId, `of ${world.fleet.running.length}`, node.nodeId);
    await node.kill();
    return;
  }
  world.log.fault('terminate', node.nodeId, `of ${world.fleet.running.length}`);
  const code = await node.terminate();
  world.log.tell('left', node.nodeId, `exit code ${code}`);
  if (code !== 0) throw new Error(`node ${node.nodeId} ended with ${code} after SIGTERM`);
}

/** Resolves with how long it took until every node's load was within its bounds; with the patience when they never were. */
async function untilBalanced(world: ChaosWorld, round: number): Promise<number> {
  let imbalance: string | null = 'not seen yet';
  try {
    const tookMs = await until(
      'the loads are balanced',
      async () => {
        const nodeIds = world.fleet.running.map(({ nodeId }) => nodeId);
        imbalance = await world.view.imbalance(nodeIds).catch((error: unknown) => String(error));
        return imbalance === null;
      },
      balancePatienceMs,
    );
    world.log.tell('balanced', 'all', `round ${round}, ${Math.round(tookMs)} ms, ${world.fleet.running.length} nodes`);
    return tookMs;
  } catch {
    world.log.tell('unbalanced', 'all', `round ${round}: ${imbalance}`);
    return balancePatienceMs;
  }
}
