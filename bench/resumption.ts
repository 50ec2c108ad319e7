/** What is needed of a commit to tell who ran when. */
export interface SeenCommit {
  readonly shard: number;
  readonly epoch: number;
  /** By its owner's clock. */
  readonly at: number;
  readonly records: readonly { readonly task: string; readonly to: string }[];
}

/** The shards that a killed node owned, and when it was killed, by the same clock. */
export interface Loss {
  readonly killedAt: number;
  readonly shards: ReadonlySet<number>;
}

/**
 * How long after the loss each task that was under way on a lost shard ran again, or was finished, under a later owner; in milliseconds,
 * sorted. A task that never did counts as infinity.
 *
 * @param commits - of all shards, in the journal's order
 */
export function resumptionsOf(commits: readonly SeenCommit[], { killedAt, shards }: Loss): readonly number[] {
  const lostEpochs = new Map<number, number>();
  const resumed = new Map<string, number>();
  for (const { shard, epoch, at, records } of commits) {
    if (!shards.has(shard)) continue;
    if (at <= killedAt) {
      lostEpochs.set(shard, epoch);
      for (const { task, to } of records) {
        if (isUnderWay(to)) resumed.set(task, Number.POSITIVE_INFINITY);
        else resumed.delete(task);
      }
    } else if (epoch > (lostEpochs.get(shard) ?? 0)) {
      for (const { task, to } of records) {
        const isOpen = resumed.get(task) === Number.POSITIVE_INFINITY;
        if (isOpen && (to.endsWith('.running') || !isUnderWay(to))) resumed.set(task, at - killedAt);
      }
    }
  }
  return [...resumed.values()].toSorted((left, right) => left - right);
}

/** A state within a stage, such as `photos.running`; dead letters are within one too, and under way no more. */
function isUnderWay(state: string): boolean {
  return state.includes('.') && !state.startsWith('deadLettered.');
}
