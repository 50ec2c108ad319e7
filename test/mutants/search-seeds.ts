import { runNode } from './run-node.ts';

/** Longest search: a mistake that keeps a cluster from coming to rest makes each seed long. */
const longestSearchMs = 1_800_000;

/** What the simulator came to with a mutant. */
export interface SeedSearch {
  /** Seeds up to the first that fails; null: none did. */
  readonly seeds: number | null;
  /** The invariants that it broke there. */
  readonly ids: readonly string[];
  readonly says: string;
}

/** Lets the simulator run seed after seed, in that copy of the repository, until one fails. */
export async function searchSeeds(copy: string, maximumSeeds: number): Promise<SeedSearch> {
  const args = ['--import', 'tsx', 'test/mutants/seed-search-process.ts', String(maximumSeeds)];
  const { output, code, hasHung } = await runNode(copy, args, longestSearchMs);
  const line = output.trimEnd().split('\n').at(-1) ?? '';
  // The last seed that was begun did not end, or ended the process.
  const begun = Number(/^seed (\d+)$/.exec(line)?.[1] ?? 1);
  if (hasHung) return { seeds: begun, ids: ['hung'], says: `seed ${begun} never ended` };
  if (code !== 0) return { seeds: begun, ids: ['crash'], says: `seed ${begun} crashed: ${output.slice(-500)}` };
  const found = JSON.parse(line) as Omit<SeedSearch, 'says'> & { readonly text?: string };
  const says = found.seeds === null ? `not in ${maximumSeeds} seeds` : `seed ${found.seeds}, ${found.text}`;
  return { seeds: found.seeds, ids: found.ids, says };
}
