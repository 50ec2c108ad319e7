import { connectClient } from '../src/client.ts';
import { workload, workloadInput } from './workload.ts';

// The load client as a process of its own: `client-process <nats url> <namespace> <tasks> <in flight> <warm-up tasks>`. Each
// lane submits a task, waits for its result, and goes on. Sends its figures to its parent.

/** What one run measured. */
export interface ClientFigures {
  readonly tasks: number;
  readonly seconds: number;
  /** Milliseconds from submit to result, sorted. */
  readonly latenciesMs: readonly number[];
}

const [, , servers = '', namespace = 'bench', tasksText = '1000', inFlightText = '1', warmUpText = '100'] =
  process.argv;
const client = await connectClient({ servers, namespace, deadlineMs: 60_000 });

async function run(tasks: number, inFlight: number): Promise<ClientFigures> {
  const latenciesMs: number[] = [];
  let started = 0;
  const lane = async (): Promise<void> => {
    while (started < tasks) {
      started += 1;
      const sentMs = performance.now();
      const { taskId } = await client.submit(workload, workloadInput(started));
      await client.result(workload, taskId, { timeoutMs: 60_000 });
      latenciesMs.push(performance.now() - sentMs);
    }
  };
  const startMs = performance.now();
  await Promise.all(Array.from({ length: inFlight }, lane));
  const seconds = (performance.now() - startMs) / 1_000;
  return { tasks, seconds, latenciesMs: latenciesMs.toSorted((left, right) => left - right) };
}

await run(Number(warmUpText), Number(inFlightText));
process.send?.('warm');
process.once('message', () => void measure());

async function measure(): Promise<void> {
  process.once('message', () => void client.close().then(() => process.exit(0)));
  process.send?.(await run(Number(tasksText), Number(inFlightText)));
}
