import { Client } from 'pg';
import { PgBoss } from 'pg-boss';
import { Batcher } from '../batcher.ts';
import { serveLoad } from '../load-client.ts';
import { Waiters } from '../waiters.ts';
import { createQueues, doneChannel, type StageJob } from './pg-boss-queues.ts';
import { stageNames, workloadInput } from '../payload.ts';

// The load client of pg-boss: `pg-boss-client <url of PostgreSQL>`. What is submitted while an insert is on its way goes in the next
// one; finished tasks are told by NOTIFY.

const connectionString = process.argv[2] ?? '';
const boss = new PgBoss({ connectionString, max: 2, supervise: false, schedule: false });
boss.on('error', (error) => process.stderr.write(`pg-boss: ${error.message}\n`));
await boss.start();
await createQueues(boss);

const listener = new Client({ connectionString });
const waiters = new Waiters();
listener.on('notification', ({ payload }) => {
  for (const number of (payload ?? '').split(',')) waiters.done(Number(number));
});
await listener.connect();
await listener.query(`listen ${doneChannel}`);

const submissions = new Batcher<StageJob>((jobs) =>
  boss.insert(
    stageNames[0],
    jobs.map((data) => ({ data })),
  ),
);
serveLoad({
  run: async (number) => {
    const done = waiters.of(number);
    await submissions.add({ number, input: workloadInput(number), results: {} });
    await done;
  },
  close: async () => {
    await boss.stop({ graceful: false });
    await listener.end();
  },
});
