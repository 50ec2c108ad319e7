import { makeWorkerUtils } from 'graphile-worker';
import { Client } from 'pg';
import { Batcher } from '../batcher.ts';
import { serveLoad } from '../load-client.ts';
import { Waiters } from '../waiters.ts';
import { doneChannel, type StageJob } from './graphile-tasks.ts';
import { stageNames, workloadInput } from '../payload.ts';

// The load client of graphile-worker: `graphile-client <url of PostgreSQL>`. What is submitted while an insert is on its way goes in the
// next one; finished tasks are told by NOTIFY.

const connectionString = process.argv[2] ?? '';
const producer = await makeWorkerUtils({ connectionString });
await producer.migrate();

const listener = new Client({ connectionString });
const waiters = new Waiters();
listener.on('notification', ({ payload }) => {
  for (const number of (payload ?? '').split(',')) waiters.done(Number(number));
});
await listener.connect();
await listener.query(`listen ${doneChannel}`);

const submissions = new Batcher<StageJob>((jobs) =>
  producer.addJobs(jobs.map((payload) => ({ identifier: stageNames[0], payload, maxAttempts: 3 }))),
);
serveLoad({
  run: async (number) => {
    const done = waiters.of(number);
    await submissions.add({ number, input: workloadInput(number), results: {} });
    await done;
  },
  close: async () => {
    await producer.release();
    await listener.end();
  },
});
