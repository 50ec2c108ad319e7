import { defineConfig } from 'vitest/config';

// Unit tests never touch the network. Contract and integration tests start a real nats-server each file,
// so their files run one after the other: two cores shared by a server, an engine and a client are few.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'examples/**/*.test.ts'],
          // Some read the whole repository, on a machine that may be busy.
          testTimeout: 30_000,
        },
      },
      {
        // Explorations, random histories and runs against references: seconds each, and no network.
        test: {
          name: 'models',
          include: ['test/models/**/*.test.ts'],
          testTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'contract',
          include: ['test/contract/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 30_000,
          hookTimeout: 120_000,
        },
      },
      {
        // Whole clusters in virtual time.
        test: {
          name: 'simulation',
          include: ['test/simulation/**/*.test.ts'],
          testTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
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
