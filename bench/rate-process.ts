import { connectClient } from '../src/client.ts';
import { ownSettings } from './child-process.ts';
import { Histogram } from './histogram.ts';
import { dueCount, intendedMs, scheduleOf } from './rate-schedule.ts';
import { workload, workloadInput } from './workload.ts';

/** Settings of a client that sends at a fixed rate, however slow the answers are. A process of its own. */
export interface RateSettings {
  readonly servers: string | readonly string[];
  readonly namespace: string;
  readonly ratePerSecond: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
}

/** What it measured, each latency from when the task was meant to be sent: no omission is left to correct. */
export interface RateFigures {
  readonly tasks: number;
  readonly failed: number;
  /** Not sent, for too many were open: the rate is over what can be served. */
  readonly unsent: number;
  /** Until the last answer. */
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly mostMs: number;
}

/** Most tasks that are open at one time: what this process's memory is good for. */
const maximumOpen = 50_000;

const { servers, namespace, ratePerSecond, seconds, warmUpSeconds } = ownSettings() as RateSettings;
const client = await connectClient({ servers, namespace, deadlineMs: 60_000 });

async function run(forSeconds: number): Promise<RateFigures> {
  const schedule = scheduleOf(ratePerSecond, forSeconds);
  const micros = new Histogram();
  const open = new Set<Promise<void>>();
  let [sent, failed, unsent] = [0, 0, 0];
  const beganMs = performance.now();
  const send = async (index: number): Promise<void> => {
    try {
      const { taskId } = await client.submit(workload, workloadInput(index));
      await client.result(workload, taskId, { timeoutMs: 60_000 });
    } catch {
      failed += 1;
    }
    micros.record((performance.now() - beganMs - intendedMs(schedule, index)) * 1_000);
  };
  while (sent < schedule.count) {
    const due = dueCount(schedule, performance.now() - beganMs);
    for (; sent < due; sent += 1) {
      if (open.size >= maximumOpen) {
        unsent += 1;
        continue;
      }
      const one: Promise<void> = send(sent).finally(() => open.delete(one));
      open.add(one);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(open);
  return {
    tasks: schedule.count,
    failed,
    unsent,
    seconds: (performance.now() - beganMs) / 1_000,
    p50Ms: micros.quantile(0.5) / 1_000,
    p99Ms: micros.quantile(0.99) / 1_000,
    p999Ms: micros.quantile(0.999) / 1_000,
    mostMs: micros.most / 1_000,
  };
}

await run(warmUpSeconds);
process.send?.('warm');
process.once('message', () => void measure());
process.on('disconnect', () => process.exit(1));

async function measure(): Promise<void> {
  process.once('message', () => void client.close().then(() => process.exit(0)));
  process.send?.(await run(seconds));
}
