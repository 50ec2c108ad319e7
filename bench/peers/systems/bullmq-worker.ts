import { Worker, type Job } from 'bullmq';
import { serveWorker } from '../load-client.ts';
import { stageNames, stageResult } from '../payload.ts';

// The worker of BullMQ: `bullmq-worker <port of Redis>`. One job a task; after each stage the job's data is updated with its
// result, as BullMQ's pages on jobs of several steps show it, so that a job that is run again goes on where it was.

interface JobData {
  readonly input: unknown;
  readonly results: Readonly<Record<string, unknown>>;
}

const connection = {
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  maxRetriesPerRequest: null,
  enableAutoPipelining: true,
};

const worker = new Worker<JobData>('bench', runStages, {
  connection,
  concurrency: 256,
  lockDuration: 10_000,
  stalledInterval: 5_000,
});
worker.on('error', (error) => process.stderr.write(`bullmq worker: ${error.message}\n`));
await worker.waitUntilReady();
serveWorker(() => worker.close());

async function runStages(job: Job<JobData>): Promise<unknown> {
  let results = job.data.results;
  for (const stage of stageNames) {
    if (stage in results) continue;
    results = { ...results, [stage]: await driver() };
    await job.updateData({ ...job.data, results });
  }
  return results;
}

async function driver(): Promise<unknown> {
  return stageResult;
}
