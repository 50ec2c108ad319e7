import type { SupervisedLine } from './supervisor-child.ts';

/** One shard's way from an owner that drained to the next one. */
export interface Handover {
  readonly shard: number;
  readonly from: string;
  readonly to: string;
  /** From the first step of the handover to its last: nobody answers for the shard, and its drivers have their grace. */
  readonly drainMs: number;
  /** From the lock's return to the next owner's first answer. */
  readonly takeoverMs: number;
}

/** Every handover that these lines tell of, of all nodes together; they must have been logged at level debug. Pure. */
export function handoversOf(lines: readonly SupervisedLine[]): readonly Handover[] {
  const begun = new Map<number, number>();
  const released = new Map<number, { readonly from: string; readonly atMs: number; readonly drainMs: number }>();
  const handovers: Handover[] = [];
  for (const { msg, shard, node = '', time } of lines.toSorted((left, right) => left.time - right.time)) {
    if (shard === undefined) continue;
    if (msg === 'a shard is being handed over') begun.set(shard, time);
    else if (msg === 'a shard was handed over') {
      released.set(shard, { from: node, atMs: time, drainMs: time - (begun.get(shard) ?? time) });
    } else if (msg === 'a shard is served') {
      const before = released.get(shard);
      released.delete(shard);
      if (before === undefined) continue;
      const { from, atMs, drainMs } = before;
      handovers.push({ shard, from, to: node, drainMs, takeoverMs: time - atMs });
    }
  }
  return handovers;
}
