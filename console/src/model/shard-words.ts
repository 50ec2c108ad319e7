import type { ShardRow } from '../api/types.ts';

/** What a shard's state means, with the pattern that its cell is drawn in. */
export const shardKinds: Readonly<
  Record<ShardRow['kind'], { readonly about: string; readonly pattern: string | null }>
> = {
  settled: { about: 'where it should be', pattern: null },
  misplaced: { about: 'about to move', pattern: 'stripes' },
  kept: { about: 'kept by a cordoned node', pattern: 'bars' },
  orphaned: { about: 'its owner is gone; about to be taken over', pattern: 'cross' },
  free: { about: 'owned by nobody', pattern: 'dots' },
  stranded: { about: 'no node may take it', pattern: 'grid' },
};

/** The shards that will change their owner. */
export function movingShards(shards: readonly ShardRow[]): readonly ShardRow[] {
  return shards.filter(({ kind }) => kind === 'misplaced' || kind === 'orphaned' || kind === 'free');
}

/** Colors of owners, as numbers of custom properties of the style sheet; more nodes than colors share them. */
export const ownerColorCount = 8;

/** A color for each owner: by the order of their names, so that it stays while they do. */
export function ownerColors(nodeIds: readonly string[]): ReadonlyMap<string, number> {
  return new Map([...new Set(nodeIds)].toSorted().map((nodeId, index) => [nodeId, index % ownerColorCount]));
}
