import { describe, expect, it } from 'vitest';

import { createCardPipeline } from '../../../examples/cabinet/card-pipeline.ts';
import * as engine from '../../../src/index.ts';
import type { PipelineDefinition } from '../../../src/pipeline/definition.ts';
import { testPipeline, type PipelineTestOptions } from '../../../src/testing.ts';
import { listingPipeline } from '../../support/a-task.ts';
import { listingPipeline as consoleListing, longPipeline } from '../../support/console-pipelines.ts';
import { crashPipelines } from '../../support/crash-pipelines.ts';
import { ledgerPipeline } from '../../support/ledger-pipeline.ts';
import { cardPipeline } from '../pipeline/card-pipeline.ts';

interface Tested {
  readonly of: string;
  readonly pipeline: PipelineDefinition;
  readonly options?: PipelineTestOptions;
}

/** Paths of a pipeline that are walked here: all of few detours, and those of the examples as far as users walk them. */
const manyPaths = 8;
const mostPaths = 24;
/** Of a pipeline of many stages. */
const fewPaths = 2;
/** Fixtures in plain JavaScript, which have no types. */
const fixtures = '../../support/fixtures';

const named = (of: string, list: readonly PipelineDefinition[]): readonly Tested[] =>
  list.map((pipeline) => ({ of: `${of}, ${pipeline.name}`, pipeline }));

async function fixture(file: string): Promise<readonly PipelineDefinition[]> {
  const { makeConfig } = (await import(`${fixtures}/${file}.mjs`)) as {
    makeConfig: (using: typeof engine, folder: string) => { readonly pipelines: readonly PipelineDefinition[] };
  };
  return makeConfig(engine, '').pipelines;
}

/** Every pipeline of the examples and of the fixtures. */
const tested: readonly Tested[] = [
  { of: 'the card example', pipeline: createCardPipeline(), options: { maximumPaths: mostPaths } },
  { of: 'four kinds of stages', pipeline: listingPipeline },
  { of: 'two skips', pipeline: cardPipeline },
  { of: 'the console, listing', pipeline: consoleListing },
  { of: 'the console, as long as may be', pipeline: longPipeline, options: { maximumPaths: fewPaths, detours: 1 } },
  { of: 'the ledger', pipeline: ledgerPipeline },
  ...named('crashes', crashPipelines),
  ...named('the command line', await fixture('cli-pipelines')),
  ...named('the supervisor', await fixture('supervised-pipelines')),
];

describe.each(tested)('the pipeline of $of', ({ pipeline, options }) => {
  it(
    'R-STAGE-2 R-CORE-3 R-IDEM-1: keeps its promises on the paths of its machine, whatever fails',
    { timeout: 300_000 },
    async () => {
      const cases = testPipeline(pipeline, 'simulated', { maximumPaths: manyPaths, ...options });
      const failures: string[] = [];
      for (const { run } of cases) await run().catch((error: unknown) => failures.push(String(error)));
      expect(failures).toEqual([]);
      expect(cases.length).toBeGreaterThan(12);
    },
  );
});
