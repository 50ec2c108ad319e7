import { readFileSync } from 'node:fs';

/** The file that `scripts/build-simulation.ts` puts beside the built program. */
export const builtFromFile = 'built-from.txt';

/** The commit that this program was built from: one that is committed meanwhile is not what runs. */
export function builtFrom(directory: string): string {
  try {
    return readFileSync(`${directory}/${builtFromFile}`, 'utf8').trim();
  } catch {
    return 'unknown, for it was not built by npm run sim';
  }
}
