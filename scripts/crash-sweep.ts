// Kills a process before and after every call of every port, in every scenario: `npm run crash-sweep -- [--pairs] [--every N]
// [--scenario name]`. With --pairs the process that comes in its place is killed again, at every call of its life; --every N takes each
// N-th first death for that. The last line is {"scenarios":…,"points":…,"pairs":…,"violations":…}.
import { parseArgs } from 'node:util';

import { crashScenarios } from '../test/support/crash-scenarios.ts';
import { pairsOf, pointsOf, runCrashes, type CrashRun } from '../test/support/crash-sweep.ts';

const { values } = parseArgs({
  options: { pairs: { type: 'boolean' }, every: { type: 'string' }, scenario: { type: 'string' } },
});
const every = Number(values.every ?? 1);
if (!Number.isInteger(every) || every < 1)
  throw new Error(`--every must be a whole number from 1, not ${values.every}`);
const chosen = crashScenarios.filter(({ name }) => values.scenario === undefined || name.includes(values.scenario));
if (chosen.length === 0) {
  throw new Error(`no scenario is named so; they are:\n${crashScenarios.map(({ name }) => `  ${name}`).join('\n')}`);
}

const totals = { scenarios: chosen.length, points: 0, pairs: 0, violations: 0 };
for (const scenario of chosen) {
  const startedMs = performance.now();
  const singles: CrashRun[] = [];
  for (const point of await pointsOf(scenario)) singles.push(take(await runCrashes(scenario, [point])));
  // A death that the scenario did not wait for is none.
  let pairs = 0;
  if (values.pairs) {
    for (const pair of pairsOf(singles.filter((_run, index) => index % every === 0))) {
      if (take(await runCrashes(scenario, pair)).missed === 0) pairs += 1;
    }
  }
  totals.points += singles.length;
  totals.pairs += pairs;
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
  console.log(`${scenario.name}: ${singles.length} points, ${pairs} pairs, ${seconds} s`);
}
console.log(JSON.stringify(totals));
process.exitCode = totals.violations === 0 ? 0 : 1;

function take(run: CrashRun): CrashRun {
  for (const violation of run.violations) console.log(`VIOLATION ${violation}`);
  totals.violations += run.violations.length;
  return run;
}
