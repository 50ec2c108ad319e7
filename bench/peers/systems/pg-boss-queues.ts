import type { PgBoss } from 'pg-boss';
import { stageNames } from '../payload.ts';

/** What a job of a stage carries. */
export interface StageJob {
  readonly number: number;
  readonly input: unknown;
  readonly results: Readonly<Record<string, unknown>>;
}

/** The channel on which workers tell of finished tasks: numbers, separated by commas. */
export const doneChannel = 'bench_done';

/** Makes a queue a stage, unless they are there. */
export async function createQueues(boss: PgBoss): Promise<void> {
  for (const stage of stageNames) {
    await boss.createQueue(stage, { notify: true, retryLimit: 3, heartbeatSeconds: 10 });
  }
}
