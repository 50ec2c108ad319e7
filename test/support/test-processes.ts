import { join } from 'node:path';

/** What tests start again and again as processes. Each start from its source, with a loader, costs most of a second of a core. */
export const testProcesses = ['embedded-engine', 'engine-process', 'nats-orphan', 'publisher-process'] as const;

/** Names the folder where `build-test-processes.ts` has built them for this run. */
export const builtVariable = 'CABINET_TEST_PROCESSES';

/** Arguments of node that run one of them: as it was built for this run, else from its source. */
export function argumentsOf(name: (typeof testProcesses)[number]): readonly string[] {
  const folder = process.env[builtVariable];
  return folder === undefined
    ? ['--import', 'tsx', join(import.meta.dirname, `${name}.ts`)]
    : [join(folder, `${name}.js`)];
}
