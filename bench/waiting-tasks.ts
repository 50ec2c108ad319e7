import { connectClient } from '../src/client.ts';
import { until, type Engines } from './engines.ts';
import { waitingPipeline, workloadInput } from './workload.ts';

/** Tasks that are submitted at one time. */
const chunkSize = 1_000;
const settleTimeoutMs = 120_000;

/** Submits tasks that fail once and back off for a day, and waits until all of them wait and none runs. */
export async function submitWaiting(
  engines: Engines,
  { servers, namespace }: { readonly servers: readonly string[]; readonly namespace: string },
  tasks: number,
): Promise<void> {
  const client = await connectClient({ servers, namespace, deadlineMs: 60_000 });
  try {
    for (let begun = 0; begun < tasks; begun += chunkSize) {
      const items = Array.from({ length: Math.min(chunkSize, tasks - begun) }, (_, index) => ({
        input: workloadInput(begun + index),
      }));
      for (const outcome of await client.submitMany(waitingPipeline, items)) {
        if (outcome.kind === 'error') throw outcome.error;
      }
    }
  } finally {
    await client.close();
  }
  await until('all tasks wait', settleTimeoutMs, async () => {
    const held = await engines.tasks();
    return held.tasks >= tasks && held.running === 0;
  });
}
