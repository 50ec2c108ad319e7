// Runs seeds from 1 on until one fails, and tells which by its last line.
import { simulate } from '../../src/simulation/simulate.ts';

/** As the long runs have it: short worlds, many of them. */
const world = { minutes: 1, tasks: 25 };

const maximumSeeds = Number(process.argv[2]);
let found: object = { seeds: null, ids: [] };
for (let seed = 1; seed <= maximumSeeds; seed += 1) {
  process.stdout.write(`seed ${seed}\n`);
  const { violations } = await simulate({ ...world, seed });
  if (violations.length === 0) continue;
  const ids = [...new Set(violations.map(({ id }) => id))];
  found = { seeds: seed, ids, text: violations[0]?.text };
  break;
}
process.stdout.write(`${JSON.stringify(found)}\n`);
