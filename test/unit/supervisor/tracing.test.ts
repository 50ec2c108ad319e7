import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { createClient, type Client } from '../../../src/client.ts';
import { parseTraceparent } from '../../../src/core/traceparent.ts';
import { RetryableError, type StageContext } from '../../../src/index.ts';
import { OpenTelemetryTracing } from '../../../src/platform/open-telemetry.ts';
import { PinoLogger } from '../../../src/platform/pino-logger.ts';
import { TestEngine } from '../../../src/testing.ts';
import { readTraceHeaders, traceHeaders } from '../../../src/transport/trace-headers.ts';
import { RecordedSpans } from '../../support/recorded-spans.ts';
import { aPipeline, commitsOf } from '../../support/shard-kit.ts';

const tracing = new OpenTelemetryTracing('test');

/** An engine and a client whose spans are recorded. */
async function traced(run?: (ctx: StageContext) => unknown): Promise<{ test: TestEngine; client: Client }> {
  const card = aPipeline(run === undefined ? {} : { run });
  const test = TestEngine.create({ pipelines: [card], config: { shardCount: 1 } });
  await test.run(test.createEngine('node-1', [card], { tracing }).start());
  const { bus, clock, random, config } = test;
  const client = createClient({ bus, clock, random, tracing, namespace: config.namespace, shardCount: 1 });
  return { test, client };
}

const submitName = 'submit cabinet.shard.{shard}';
const handlingName = 'process cabinet.shard.{shard}';

describe('traces', () => {
  let spans: RecordedSpans;

  beforeEach(() => {
    spans = new RecordedSpans();
  });

  afterEach(() => {
    spans.release();
  });

  it('show a submit and its handling as one trace, and each stage as a trace linked to it', async () => {
    const { test, client } = await traced();
    const { taskId } = await test.run(client.submit('card', 'x'));
    await test.run(client.result('card', taskId));
    const submit = spans.only(submitName);
    expect(submit.kind).toBe(SpanKind.PRODUCER);
    expect(submit.attributes).toMatchObject({
      'messaging.system': 'nats',
      'messaging.operation.type': 'send',
      'messaging.destination.partition.id': '0',
      'messaging.message.conversation_id': taskId,
      'cabinet.pipeline': 'card',
    });
    const handling = spans.only(handlingName);
    expect(handling.kind).toBe(SpanKind.CONSUMER);
    expect(handling.spanContext().traceId).toBe(submit.spanContext().traceId);
    expect(handling.parentSpanContext?.spanId).toBe(submit.spanContext().spanId);
    for (const stage of ['parse', 'publish']) {
      const attempt = spans.only(`process stage.${stage}`);
      expect(attempt.parentSpanContext).toBeUndefined();
      expect(attempt.spanContext().traceId).not.toBe(submit.spanContext().traceId);
      expect(attempt.links.map((link) => link.context.spanId)).toEqual([submit.spanContext().spanId]);
      expect(attempt.attributes).toMatchObject({ 'cabinet.stage': stage, 'cabinet.attempt': 1 });
    }
  });

  it('give the spans that a driver makes the attempt as parent, across its awaits', async () => {
    const { test, client } = await traced(async (ctx) => {
      await Promise.resolve();
      trace.getTracer('user').startSpan(`inside ${ctx.stage}`).end();
      return null;
    });
    const { taskId } = await test.run(client.submit('card', 'x'));
    await test.run(client.result('card', taskId));
    const attempt = spans.only('process stage.parse');
    expect(spans.only('inside parse').parentSpanContext?.spanId).toBe(attempt.spanContext().spanId);
  });

  it('stand on each log line that is written inside of them, and on no other', async () => {
    const lines: Record<string, unknown>[] = [];
    const logger = new PinoLogger({
      destination: { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) },
      format: 'json',
    });
    const { test, client } = await traced((ctx) => {
      logger.info({ stage: ctx.stage }, 'inside');
      return null;
    });
    const { taskId } = await test.run(client.submit('card', 'x'));
    await test.run(client.result('card', taskId));
    logger.info({ stage: 'none' }, 'outside');
    const { traceId, spanId } = spans.only('process stage.parse').spanContext();
    expect(lines[0]).toMatchObject({ stage: 'parse', traceId, spanId });
    expect(lines.at(-1)).toMatchObject({ stage: 'none' });
    expect(lines.at(-1)).not.toHaveProperty('traceId');
  });

  it('make a submit the child of what its caller does', async () => {
    const { test, client } = await traced();
    const caller = trace.getTracer('user').startSpan('caller');
    await test.run(context.with(trace.setSpan(context.active(), caller), () => client.submit('card', 'x')));
    expect(spans.only(submitName).parentSpanContext?.spanId).toBe(caller.spanContext().spanId);
  });

  it('show a failed attempt as an error, and the retry as an attempt of its own', async () => {
    const { test, client } = await traced((ctx) => {
      if (ctx.stage === 'parse' && ctx.attempt === 1) throw new RetryableError('not yet');
      return null;
    });
    const { taskId } = await test.run(client.submit('card', 'x'));
    await test.run(client.result('card', taskId));
    const [first, second] = spans.named('process stage.parse');
    expect(first?.status).toEqual({ code: SpanStatusCode.ERROR, message: 'not yet' });
    expect(first?.attributes).toMatchObject({ 'error.type': 'retryable', 'cabinet.attempt': 1 });
    expect(second?.status.code).toBe(SpanStatusCode.UNSET);
    expect(second?.attributes).toMatchObject({ 'cabinet.attempt': 2 });
  });

  it('show a refused submit as an error on both sides: PIPELINE_UNKNOWN', async () => {
    const { test, client } = await traced();
    await expect(test.run(client.submit('nothing', 'x'))).rejects.toMatchObject({ code: 'PIPELINE_UNKNOWN' });
    for (const name of [submitName, handlingName]) {
      expect(spans.only(name).attributes['error.type']).toBe('PIPELINE_UNKNOWN');
    }
  });

  it('keep the link over a crash: the second node runs the stage later, from the journal', async () => {
    const card = aPipeline({ run: () => new Promise(() => {}) });
    const test = TestEngine.create({ pipelines: [card], config: { shardCount: 1 } });
    const { bus, clock, random, config } = test;
    const client = createClient({ bus, clock, random, tracing, namespace: config.namespace, shardCount: 1 });
    const first = test.createEngine('node-1', [card], { tracing });
    await test.run(first.start());
    const { taskId } = await test.run(client.submit('card', 'x'));
    await test.run(first.abandon());
    const second = test.createEngine('node-2', [aPipeline()], { tracing });
    await test.run(second.start());
    await test.run(client.result('card', taskId, { timeoutMs: 600_000 }));
    const { spanId } = spans.only(submitName).spanContext();
    const again = spans.named('process stage.parse').at(-1);
    expect(again?.status.code).toBe(SpanStatusCode.UNSET);
    expect(again?.links.map((link) => link.context.spanId)).toEqual([spanId]);
    expect(spans.only('process stage.publish').links.map((link) => link.context.spanId)).toEqual([spanId]);
  });

  it.each([
    ['of version ff', 'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
    ['with a trace of zeros', '00-00000000000000000000000000000000-b7ad6b7169203331-01'],
    ['with a span of zeros', '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01'],
    ['in capitals', '00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01'],
    ['with a line break', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\n'],
    ['of a megabyte', '0'.repeat(1_048_576)],
    ['that is no text', 7],
  ])('ignore a traceparent %s', (_, value) => {
    expect(parseTraceparent(value)).toBeUndefined();
    expect(readTraceHeaders(new Map([['traceparent', value as string]]), 1)).toEqual([undefined]);
  });

  it('take nothing from a hostile header, and do the work', async () => {
    const { test } = await traced();
    const hostile = createClient({
      bus: {
        serve: (...args) => test.bus.serve(...args),
        request: (subject, body, options) =>
          test.bus.request(subject, body, { ...options, headers: { traceparent: '00-<script>-01' } }),
      },
      clock: test.clock,
      random: test.random,
      namespace: test.config.namespace,
      shardCount: 1,
    });
    const { taskId } = await test.run(hostile.submit('card', 'x'));
    await test.run(hostile.result('card', taskId));
    expect(spans.named(handlingName)).toEqual([]);
    expect(spans.only('process stage.parse').links).toEqual([]);
    const commits = await test.run(commitsOf(test.journal));
    expect(JSON.stringify(commits)).not.toContain('script');
  });

  it('carry the trace of each command of a request, and of none that has none', () => {
    const one = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    expect(traceHeaders([one], 100)).toEqual({ traceparent: one });
    const headers = traceHeaders([one, undefined, one], 200) ?? {};
    expect(readTraceHeaders(new Map(Object.entries(headers)), 3)).toEqual([one, undefined, one]);
    expect(readTraceHeaders(new Map(Object.entries(headers)), 2)).toEqual([]);
    expect(traceHeaders([undefined, undefined], 200)).toBeUndefined();
    expect(traceHeaders([one, one], 100)).toBeUndefined();
  });

  it('cost nothing and send nothing while nobody has registered an SDK', async () => {
    spans.release();
    expect(tracing.isOn).toBe(false);
    const { test, client } = await traced();
    await test.run(client.submit('card', 'x'));
    const commits = await test.run(commitsOf(test.journal));
    expect(JSON.stringify(commits)).not.toContain('traceparent');
    spans = new RecordedSpans();
    expect(tracing.isOn).toBe(true);
  });
});
