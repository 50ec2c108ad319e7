import { definePipeline, type PipelineDefinition } from '../src/index.ts';

// The workload of every figure: five stages, each a no-op driver that returns about 200 bytes of JSON; an input of about
// 500 bytes; each stage's result durable before the next one starts.

const passing = { '~standard': { version: 1, vendor: 'bench', validate: (value: unknown) => ({ value }) } } as const;

const result = { ok: true, note: 'x'.repeat(170) };
const stage = { output: passing, driver: () => result, retry: { maxAttempts: 3 }, timeoutMs: 60_000 };

/** The pipeline that every bench runs. */
export const workload: PipelineDefinition = definePipeline({
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

/** An input of about 500 bytes of JSON. */
export function workloadInput(number: number): { readonly number: number; readonly text: string } {
  return { number, text: 'y'.repeat(470) };
}
