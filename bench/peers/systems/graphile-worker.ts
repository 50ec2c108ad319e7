import { Logger, makeWorkerUtils, run, type AddJobsJobSpec, type TaskList } from 'graphile-worker';
import { Pool } from 'pg';
import { Batcher } from '../batcher.ts';
import { serveWorker } from '../load-client.ts';
import { doneChannel, type StageJob } from './graphile-tasks.ts';
import { stageNames, stageResult } from '../payload.ts';

// The worker of graphile-worker: `graphile-worker <url of PostgreSQL>`. A task a stage; each adds the job of the next one. Jobs are
// added, fetched and completed in batches, as its page on performance advises.

const pool = new Pool({ connectionString: process.argv[2] ?? '', max: 24 });
const onError = (error: Error): void => void process.stderr.write(`graphile-worker: ${error.message}\n`);
pool.on('error', onError);
pool.on('connect', (client) => client.on('error', onError));
const producer = await makeWorkerUtils({ pgPool: pool });
await producer.migrate();
// Each insert notifies, and PostgreSQL commits what notifies one after the other: jobs that become ready together go together.
const nextJobs = new Batcher<AddJobsJobSpec>((jobs) => producer.addJobs([...jobs]));
const doneNotices = new Batcher<number>((numbers) =>
  pool.query('select pg_notify($1, $2)', [doneChannel, numbers.join(',')]),
);

const tasks: TaskList = {};
for (const [index, stage] of stageNames.entries()) {
  const next = stageNames[index + 1];
  tasks[stage] = async (payload) => {
    const job = payload as StageJob;
    const results = { ...job.results, [stage]: await driver() };
    if (next === undefined) await doneNotices.add(job.number);
    else await nextJobs.add({ identifier: next, payload: { ...job, results }, maxAttempts: 3 });
  };
}

const runner = await run({
  pgPool: pool,
  taskList: tasks,
  noHandleSignals: true,
  // Its own prints a line a job.
  logger: new Logger(() => (level, message) => {
    if (level === 'error') process.stderr.write(`graphile-worker: ${message}\n`);
  }),
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
