// The pipelines of the deployment: put your own here. This one shows that it works, and needs nothing from outside.
import { defineConfig, definePipeline } from 'cabinet-pipeline';

/** A schema is whatever speaks Standard Schema; a library such as zod writes it for you. */
const text = (name) => ({
  '~standard': {
    version: 1,
    vendor: 'example',
    validate: (value) =>
      typeof value?.[name] === 'string'
        ? { value: { [name]: value[name] } }
        : { issues: [{ message: 'must be text', path: [name] }] },
  },
});

export const greeting = definePipeline({
  name: 'greeting',
  version: 1,
  input: text('name'),
  stages: (pipeline) =>
    pipeline
      .stage('compose', {
        output: text('words'),
        driver: (ctx) => ({ words: `Hello, ${ctx.input.name}!` }),
        retry: { maxAttempts: 3 },
        timeoutMs: 5_000,
      })
      .stage('deliver', {
        output: text('line'),
        driver: (ctx) => ({ line: `${ctx.outputs.compose.words} (${ctx.idempotencyKey})` }),
        retry: { maxAttempts: 3 },
        timeoutMs: 5_000,
      }),
});

export default defineConfig({ pipelines: [greeting] });
