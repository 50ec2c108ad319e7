import type { AssignmentPlan, PlannedAcquire, PlannedRelease, WaitingShard } from './assignment-plan.ts';

const acquireReasons: { readonly [Why in PlannedAcquire['why']]: (from: string) => string } = {
  free: () => 'nobody owns it',
  ownerDown: (from) => `${from} is down`,
  ownerGone: (from) => `${from} has left`,
  ownerRestarted: (from) => `${from} started again`,
  notServed: () => 'its lock is held here, but it is not open',
};

const releaseReasons: { readonly [Why in PlannedRelease['why']]: string } = {
  rebalance: 'placement',
  draining: 'this node drains',
};

/** A plan in words, one line a shard: what `--dry-run` shows and what a log line holds. */
export function describePlan(plan: AssignmentPlan): readonly string[] {
  const lines = [
    ...plan.acquire.map((acquire) => describeAcquire(acquire)),
    ...plan.release.map(({ shard, to, why }) => `release shard ${shard} to ${to}: ${releaseReasons[why]}`),
    ...plan.waiting.map((waiting) => describeWaiting(waiting)),
  ];
  return lines.length === 0 ? ['nothing to do'] : lines;
}

function describeAcquire({ shard, from, why, epoch }: PlannedAcquire): string {
  return `acquire shard ${shard}: ${acquireReasons[why](from ?? 'its owner')} (epoch ${epoch} so far)`;
}

function describeWaiting({ shard, for: reason, node }: WaitingShard): string {
  return reason === 'release'
    ? `wait for shard ${shard}: ${node} still owns it`
    : `keep shard ${shard} for now: it goes to ${node} when fewer shards move`;
}
