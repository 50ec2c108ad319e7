import { PgBoss } from 'pg-boss';
import { serveWorker } from '../load-client.ts';
import { createQueues, doneChannel, type StageJob } from './pg-boss-queues.ts';
import { stageNames, stageResult } from '../payload.ts';

// The worker of pg-boss: `pg-boss-worker <url of PostgreSQL>`. A queue a stage; a batch of jobs, their successors and the word of
// what is finished are one transaction.

const boss = new PgBoss({
  connectionString: process.argv[2] ?? '',
  max: 12,
  useListenNotify: true,
  // A killed worker's jobs are found by these.
  superviseIntervalSeconds: 5,
  monitorIntervalSeconds: 5,
});
boss.on('error', (error) => process.stderr.write(`pg-boss: ${error.message}\n`));
await boss.start();
await createQueues(boss);

const workOptions = {
  transactional: true,
  batchSize: 256,
  burstWhenBatchFull: true,
  pollingIntervalSeconds: 0.5,
  localConcurrency: 2,
} as const;

for (const [index, stage] of stageNames.entries()) {
  const next = stageNames[index + 1];
  await boss.work<StageJob, null, typeof workOptions>(stage, workOptions, async (jobs, transaction) => {
    const made = await Promise.all(
      jobs.map(async ({ data }) => ({ ...data, results: { ...data.results, [stage]: await driver() } })),
    );
    if (next === undefined) {
      const numbers = made.map(({ number }) => number).join(',');
      await transaction.executeSql('select pg_notify($1, $2)', [doneChannel, numbers]);
    } else {
      await boss.insert(
        next,
        made.map((data) => ({ data })),
        { db: transaction },
      );
    }
    return null;
  });
}
serveWorker(() => boss.stop({ graceful: true, timeout: 5_000 }));

async function driver(): Promise<unknown> {
  return stageResult;
}
