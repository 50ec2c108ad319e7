import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { format, resolveConfig } from 'prettier';

import type { Mutant } from './mutants.ts';
import type { SeedSearch } from './search-seeds.ts';

const page = resolve(import.meta.dirname, '../../docs/PROOF.md');
const begin = '<!-- The table is written by `npm run mutants -- --write --seeds N`. -->';
const end = '<!-- end of the table -->';

/** What a table is made of. */
export interface MutantsTable {
  readonly mutants: readonly Mutant[];
  /** What the simulator was asked for now. */
  readonly searches: ReadonlyMap<Mutant, SeedSearch>;
  readonly maximumSeeds: number;
  /** By mutant, what an earlier table says of seeds. */
  readonly known: ReadonlyMap<string, string>;
}

/**
 * Puts the table into docs/PROOF.md, in the place of the one before, from which the seeds of mutants are kept that were not searched now.
 *
 * @throws Error when its place is gone
 */
export async function writeMutantsTable(table: Omit<MutantsTable, 'known'>): Promise<void> {
  const text = await readFile(page, 'utf8');
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${page} has no place for the table of mutants`);
  const known = knownSeeds(text.slice(from, to));
  const rows = formatMutantsTable({ ...table, known });
  const written = `${text.slice(0, from + begin.length)}\n\n${rows}\n${text.slice(to)}`;
  await writeFile(page, await format(written, { ...(await resolveConfig(page)), parser: 'markdown' }));
}

/** The table as Markdown. Pure. */
export function formatMutantsTable(table: MutantsTable): string {
  const rows = table.mutants.map((mutant) => {
    const { id, breaks, caughtBy } = mutant;
    return `| \`${id}\` | ${breaks} | \`${caughtBy.file}\` | ${seedsNeeded(mutant, table)} |`;
  });
  return ['| mutant | breaks | seen by | seeds needed |', '| --- | --- | --- | --- |', ...rows, ''].join('\n');
}

/** By mutant, what a table says of seeds. Pure. */
export function knownSeeds(text: string): ReadonlyMap<string, string> {
  const rows = text.matchAll(/^\| `([\w-]+)` .*\| ([^|]*?) *\|$/gm);
  return new Map([...rows].map(([, id = '', seeds = '']) => [id, seeds]));
}

function seedsNeeded(mutant: Mutant, { searches, maximumSeeds, known }: MutantsTable): string {
  if (mutant.isSimulated !== true) return '–';
  const search = searches.get(mutant);
  if (search === undefined) return known.get(mutant.id) ?? 'not searched';
  return search.seeds === null ? `over ${maximumSeeds}` : `${search.seeds} (${search.ids.join(', ')})`;
}
