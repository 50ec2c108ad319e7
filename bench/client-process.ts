import { type Client, connectClient } from '../src/client.ts';
import { ownSettings } from './child-process.ts';
import { workload, workloadInput } from './workload.ts';

/** Settings of a load client as a process of its own. Each of its lanes runs a task to its result, and goes on. */
export interface ClientSettings {
  readonly servers: string | readonly string[];
  readonly namespace: string;
  readonly tasks: number;
  readonly inFlight: number;
  readonly warmUp: number;
  readonly inputBytes: number;
}

/** What one run measured; a task that fails ends the run. */
export interface ClientFigures {
  readonly tasks: number;
  readonly seconds: number;
  /** Milliseconds from submit to result, sorted. */
  readonly latenciesMs: readonly number[];
}

const { servers, namespace, tasks, inFlight, warmUp, inputBytes } = ownSettings() as ClientSettings;
const client = await connectClient({ servers, namespace, deadlineMs: 60_000 });

/** Older commits, to compare with, have no `run`. */
async function runTask(input: ReturnType<typeof workloadInput>): Promise<void> {
  if ('run' in client) {
    await client.run(workload, input, { timeoutMs: 60_000 });
    return;
  }
  const older: Pick<Client, 'submit' | 'result'> = client;
  const { taskId } = await older.submit(workload, input);
  await older.result(workload, taskId, { timeoutMs: 60_000 });
}

async function run(count: number): Promise<ClientFigures> {
  const latenciesMs: number[] = [];
  let started = 0;
  const lane = async (): Promise<void> => {
    while (started < count) {
      started += 1;
      const sentMs = performance.now();
      await runTask(workloadInput(started, inputBytes));
      latenciesMs.push(performance.now() - sentMs);
    }
  };
  const startMs = performance.now();
  await Promise.all(Array.from({ length: inFlight }, lane));
  const seconds = (performance.now() - startMs) / 1_000;
  return { tasks: count, seconds, latenciesMs: latenciesMs.toSorted((left, right) => left - right) };
}

await run(warmUp);
process.send?.('warm');
process.once('message', () => void measure());
process.on('disconnect', () => process.exit(1));

async function measure(): Promise<void> {
  process.once('message', () => void client.close().then(() => process.exit(0)));
  process.send?.(await run(tasks));
}
