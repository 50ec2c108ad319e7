import * as fc from '../../node_modules/fast-check/lib/fast-check.js';

// Stands in for fast-check where CABINET_RUNS_FACTOR is set: each property is run that many times as often as its test says.

export * from '../../node_modules/fast-check/lib/fast-check.js';

const factor = Number(process.env['CABINET_RUNS_FACTOR'] ?? 1);
/** What fast-check runs by itself. */
const usualRuns = 100;

function more<Values>(parameters: fc.Parameters<Values> | undefined): fc.Parameters<Values> {
  return { ...parameters, numRuns: (parameters?.numRuns ?? usualRuns) * factor };
}

/** As that of fast-check. */
export const assert = moreOf(fc.assert);

/** As that of fast-check. */
export const check = moreOf(fc.check);

export default { ...fc.default, assert, check };

/** The same function, with more runs: all its overloads have these two parameters. */
function moreOf<Run extends typeof fc.assert | typeof fc.check>(run: Run): Run {
  const anyRun = run as (property: fc.IRawProperty<unknown>, parameters?: fc.Parameters<unknown>) => unknown;
  return ((property: fc.IRawProperty<unknown>, parameters?: fc.Parameters<unknown>) =>
    anyRun(property, more(parameters))) as Run;
}
