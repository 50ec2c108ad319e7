import { defineConfig } from 'vitest/config';

/** Whose bounds are times, or who stop processes and watch how long others take to notice: nothing runs beside them. */
const timed = ['chaos', 'containers', 'nats-leadership', 'node-start', 'node-stop', 'node-takeover', 'supervisor'].map(
  (name) => `test/integration/${name}.test.ts`,
);

/** `CABINET_RUNS_FACTOR=20` runs each property 20 times as often: see `scripts/properties.ts`. */
const runsFactor = Number(process.env['CABINET_RUNS_FACTOR'] ?? 1);
const alias = runsFactor === 1 ? [] : [{ find: /^fast-check$/, replacement: moreRuns() }];

function moreRuns(): string {
  return new URL('test/support/fast-check-more.ts', import.meta.url).pathname;
}

/** Of what mostly computes: the collector of the young generation runs less often. */
const execArgv = ['--max-semi-space-size=32'];

// Unit tests never touch the network. Contract and integration tests start a real nats-server each file, and mostly wait: two files
// at a time, on two cores.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'examples/**/*.test.ts'],
          alias,
          execArgv,
          maxWorkers: 2,
          // Some read the whole repository, on a machine that may be busy.
          testTimeout: 30_000 * runsFactor,
        },
      },
      {
        // Explorations, random histories and runs against references: seconds each, and no network.
        test: {
          name: 'models',
          include: ['test/models/**/*.test.ts'],
          alias,
          execArgv,
          maxWorkers: 2,
          testTimeout: 300_000 * runsFactor,
        },
      },
      {
        test: {
          name: 'contract',
          include: ['test/contract/**/*.test.ts'],
          alias,
          maxWorkers: 2,
          testTimeout: 30_000 * runsFactor,
          hookTimeout: 120_000,
        },
      },
      {
        // Whole clusters in virtual time.
        test: {
          name: 'simulation',
          include: ['test/simulation/**/*.test.ts'],
          execArgv,
          maxWorkers: 2,
          testTimeout: 300_000 * runsFactor,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          exclude: timed,
          globalSetup: ['test/support/build-test-processes.ts'],
          maxWorkers: 2,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'timed',
          include: timed,
          globalSetup: ['test/support/build-test-processes.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        // A real browser on the page that `npm run build` has made.
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
