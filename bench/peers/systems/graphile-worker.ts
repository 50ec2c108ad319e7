import { run, type TaskList } from 'graphile-worker';
import { Pool } from 'pg';
import { Batcher } from '../batcher.ts';
import { serveWorker } from '../load-client.ts';
import { doneChannel, type StageJob } from './graphile-tasks.ts';
import { stageNames, stageResult } from '../payload.ts';

// The worker of graphile-worker: `graphile-worker <url of PostgreSQL>`. A task a stage; each adds the job of the next one. Jobs are
// fetched and completed in batches, as its page on performance advises.

const pool = new Pool({ connectionString: process.argv[2] ?? '', max: 24 });
const doneNotices = new Batcher<number>((numbers) =>
  pool.query('select pg_notify($1, $2)', [doneChannel, numbers.join(',')]),
);

const tasks: TaskList = {};
for (const [index, stage] of stageNames.entries()) {
  const next = stageNames[index + 1];
  tasks[stage] = async (payload, helpers) => {
    const job = payload as StageJob;
    const results = { ...job.results, [stage]: await driver() };
    if (next === undefined) await doneNotices.add(job.number);
    else await helpers.addJob(next, { ...job, results }, { maxAttempts: 3 });
  };
}

const runner = await run({
  pgPool: pool,
  taskList: tasks,
  noHandleSignals: true,
  parsedCronItems: [],
  preset: {
    worker: {
      concurrentJobs: 64,
      pollInterval: 500,
      localQueue: { size: 256 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  },
});
serveWorker(() => runner.stop());

async function driver(): Promise<unknown> {
  return stageResult;
}
