import { Queue, QueueEvents } from 'bullmq';
import { serveLoad } from '../load-client.ts';
import { Waiters } from '../waiters.ts';
import { workloadInput } from '../payload.ts';

// The load client of BullMQ: `bullmq-client <port of Redis>`. One listener of the queue's events serves all waiting tasks; a
// listener a task (`waitUntilFinished`) costs more.

const connection = { host: '127.0.0.1', port: Number(process.argv[2]), enableAutoPipelining: true };
const queue = new Queue('bench', { connection, defaultJobOptions: { removeOnComplete: true, attempts: 3 } });
const events = new QueueEvents('bench', { connection: { ...connection, maxRetriesPerRequest: null } });
const waiters = new Waiters();

events.on('completed', ({ jobId }) => waiters.done(numberOf(jobId)));
events.on('failed', ({ jobId, failedReason }) => {
  throw new Error(`job ${jobId} failed: ${failedReason}`);
});
await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);

serveLoad({
  run: async (number) => {
    const done = waiters.of(number);
    await queue.add('pipeline', { input: workloadInput(number), results: {} }, { jobId: `task-${number}` });
    await done;
  },
  close: async () => {
    await Promise.all([queue.close(), events.close()]);
  },
});

function numberOf(jobId: string): number {
  return Number(jobId.slice('task-'.length));
}
