import { definePipeline, RetryableError, type PipelineDefinition } from '../src/index.ts';

// The workload of every figure: five stages, each a no-op driver that returns about 200 bytes of JSON; an input of about
// 500 bytes; each stage's result durable before the next one starts.

const passing = { '~standard': { version: 1, vendor: 'bench', validate: (value: unknown) => ({ value }) } } as const;

/** Bytes of JSON that a payload has beside its text, about. */
const frameBytes = 30;

/** The pipeline that every bench runs, with results of another size or stages that take their time. */
export function workloadOf({
  resultBytes = 200,
  stageMs = 0,
}: { readonly resultBytes?: number; readonly stageMs?: number } = {}): PipelineDefinition {
  const result = { ok: true, note: 'x'.repeat(Math.max(1, resultBytes - frameBytes)) };
  const slowly = (): Promise<typeof result> => new Promise((resolve) => setTimeout(resolve, stageMs, result));
  const driver = stageMs === 0 ? () => result : slowly;
  const stage = { output: passing, driver, retry: { maxAttempts: 3 }, timeoutMs: 60_000 };
  return definePipeline({
    name: 'bench',
    version: 1,
    input: passing,
    stages: (pipeline) =>
      pipeline
        .stage('parse', stage)
        .stage('photos', stage)
        .stage('publish', stage)
        .stage('export', stage)
        .stage('cleanup', stage),
  });
}

/** The pipeline that every bench runs. */
export const workload: PipelineDefinition = workloadOf();

const dayMs = 24 * 3_600_000;

/** One stage that fails once and backs off for a day: its tasks wait. */
export const waitingPipeline: PipelineDefinition = definePipeline({
  name: 'waiting',
  version: 1,
  input: passing,
  stages: (pipeline) =>
    pipeline.stage('later', {
      output: passing,
      driver: () => {
        throw new RetryableError('not today');
      },
      retry: { maxAttempts: 3, initialDelayMs: dayMs, maxDelayMs: dayMs, jitter: 0 },
      timeoutMs: 60_000,
    }),
});

/** An input of about 500 bytes of JSON, or of about as many as are asked for. */
export function workloadInput(number: number, bytes = 500): { readonly number: number; readonly text: string } {
  return { number, text: 'y'.repeat(Math.max(1, bytes - frameBytes)) };
}
