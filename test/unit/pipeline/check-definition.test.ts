import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EngineError, type ErrorCode } from '../../../src/core/errors.ts';
import { maximumStages } from '../../../src/pipeline/check-definition.ts';
import { definePipeline } from '../../../src/pipeline/define-pipeline.ts';

interface AnyBuilder {
  stage(name: unknown, options: unknown): AnyBuilder;
}

const define = definePipeline as (options: unknown) => unknown;
const always = (): boolean => true;
const okStage = { output: z.unknown(), driver: () => 1, retry: { maxAttempts: 1 }, timeoutMs: 1_000 };

function defineStages(...stages: (readonly [unknown, unknown])[]): unknown {
  return define({
    name: 'card',
    version: 1,
    input: z.unknown(),
    stages: (pipeline: AnyBuilder) => {
      let builder = pipeline;
      for (const [name, options] of stages) builder = builder.stage(name, options);
      return builder;
    },
  });
}

/** The error of a definition with one stage `photos` that has these fields instead. */
function errorOfStage(fields: object): EngineError {
  return errorOf(() => defineStages(['photos', { ...okStage, ...fields }]));
}

function errorOf(run: () => unknown): EngineError {
  try {
    run();
  } catch (error) {
    if (error instanceof EngineError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

function expectError(error: EngineError, field: string, code: ErrorCode = 'PIPELINE_INVALID'): void {
  expect(error).toMatchObject({ code, field });
  expect(error.message).toContain(field);
}

describe("a pipeline's own fields", () => {
  const ok = { name: 'card', version: 1, input: z.unknown(), stages: (p: AnyBuilder) => p.stage('one', okStage) };

  it('a complete definition passes', () => {
    expect(define(ok)).toMatchObject({ name: 'card', version: 1 });
  });

  it.each([
    ['name', { name: undefined }],
    ['name', { name: 7 }],
    ['name', { name: 'Card' }],
    ['name', { name: 'a'.repeat(64) }],
    ['version', { version: 0 }],
    ['version', { version: 1.5 }],
    ['version', { version: '1' }],
    ['version', { version: 2 ** 53 }],
    ['input', { input: undefined }],
    ['input', { input: {} }],
    ['input', { input: null }],
    ['input', { input: { '~standard': { version: 2, validate: () => 1 } } }],
    ['input', { input: { '~standard': { version: 1 } } }],
    ['stages', { stages: undefined }],
    ['stages', { stages: [] }],
    ['stages', { stages: () => undefined }],
    ['stages', { stages: (pipeline: AnyBuilder) => pipeline }],
    ['owner', { owner: 'me' }],
  ])('PIPELINE_INVALID names %s for %o', (field, fields) => {
    expectError(
      errorOf(() => define({ ...ok, ...fields })),
      field,
    );
  });

  it.each([[undefined], [null], ['card'], [[]]])('PIPELINE_INVALID for a definition that is %o', (options) => {
    expectError(
      errorOf(() => define(options)),
      'definition',
    );
  });

  it('a schema that is a function is accepted', () => {
    const schema = Object.assign(() => true, {
      '~standard': { version: 1, vendor: 'x', validate: () => ({ value: 1 }) },
    });
    expect(define({ ...ok, input: schema })).toMatchObject({ input: schema });
  });

  it('a field that is missing is said to be required', () => {
    expect(errorOf(() => define({ ...ok, version: undefined })).message).toBe(
      'version is required and must be a positive integer',
    );
  });
});

describe("a pipeline's stages", () => {
  it('R-STAGE-1: at least one stage is required', () => {
    expect(errorOf(() => defineStages()).message).toBe('stages must be 1 to 64 stages');
  });

  it('as many stages as the limit pass, one more is PIPELINE_INVALID', () => {
    const stages = Array.from({ length: maximumStages }, (_, index) => [`stage-${index}`, okStage] as const);
    expect(defineStages(...stages)).toMatchObject({ stages: { length: maximumStages } });
    expectError(
      errorOf(() => defineStages(...stages, ['more', okStage])),
      'stages',
    );
  });

  it.each([['Photos'], ['1st'], [''], ['a.b'], ['a'.repeat(64)], [7], [undefined]])(
    'PIPELINE_INVALID names the place of the bad stage name %o',
    (name) => {
      expectError(
        errorOf(() => defineStages(['parse', okStage], [name, okStage])),
        'stages[1].name',
      );
    },
  );

  it.each([['new'], ['completed'], ['canceled'], ['constructor'], ['prototype']])(
    "PIPELINE_INVALID: '%s' is reserved",
    (name) => {
      const error = errorOf(() => defineStages([name, okStage]));
      expectError(error, 'stages[0].name');
      expect(error.message).toContain('is reserved');
    },
  );

  it('PIPELINE_INVALID for a name that is taken', () => {
    const error = errorOf(() => defineStages(['parse', okStage], ['parse', okStage]));
    expectError(error, 'stages[1].name');
    expect(error.message).toContain("there is a stage 'parse' already");
  });

  it.each([
    ['output', { output: undefined }],
    ['output', { output: 'string' }],
    ['driver', { driver: undefined }],
    ['driver', { driver: null }],
    ['driver', { driver: {} }],
    ['driver', { driver: { execute: 'later' } }],
    ['driver.lookup', { driver: { execute: () => 1, lookup: true } }],
    ['timeoutMs', { timeoutMs: undefined }],
    ['timeoutMs', { timeoutMs: 0 }],
    ['timeoutMs', { timeoutMs: 1.5 }],
    ['timeoutMs', { timeoutMs: Infinity }],
    ['timeoutMs', { timeoutMs: 30 * 24 * 3_600_000 + 1 }],
    ['heartbeatTimeoutMs', { heartbeatTimeoutMs: 0 }],
    ['heartbeatTimeoutMs', { heartbeatTimeoutMs: 1_001 }],
    ['deadlineMs', { deadlineMs: 999 }],
    ['deadlineMs', { deadlineMs: Infinity }],
    ['concurrency', { concurrency: 0 }],
    ['concurrency', { concurrency: '2' }],
    ['port', { port: '' }],
    ['port', { port: 'Board' }],
    ['port', { port: 'b'.repeat(64) }],
    ['port', { port: 7 }],
    ['effect', { effect: 'exactlyOnce' }],
    ['skip', { skip: () => true }],
    ['skip', { skip: true }],
    ['skip.reason', { skip: { when: always } }],
    ['skip.reason', { skip: { reason: ' ', when: always } }],
    ['skip.reason', { skip: { reason: 'x'.repeat(201), when: always } }],
    ['skip.when', { skip: { reason: 'no photos' } }],
    ['skip.unless', { skip: { reason: 'no photos', when: always, unless: 1 } }],
    ['classify', { classify: {} }],
    ['timeout', { timeout: 5 }],
  ])('PIPELINE_INVALID names stages.photos.%s for %o', (field, fields) => {
    expectError(errorOfStage(fields), `stages.photos.${field}`);
  });

  it.each([[undefined], [null], [() => 1]])('PIPELINE_INVALID for stage options that are %o', (options) => {
    expectError(
      errorOf(() => defineStages(['photos', options])),
      'stages.photos',
    );
  });

  it('null stands for left out', () => {
    const absent = {
      heartbeatTimeoutMs: null,
      deadlineMs: null,
      concurrency: null,
      port: null,
      effect: null,
      skip: null,
      classify: null,
    };
    expect(defineStages(['photos', { ...okStage, ...absent }])).toMatchObject({ stages: [{ effect: 'idempotent' }] });
    expect(defineStages(['photos', { ...okStage, driver: { execute: () => 1, lookup: null } }])).toBeDefined();
  });
});

describe("a stage's retry policy", () => {
  it('R-RETRY-2: an infinite number of attempts is RETRY_POLICY_INVALID', () => {
    const error = errorOfStage({ retry: { maxAttempts: Infinity } });
    expectError(error, 'stages.photos.retry.maxAttempts', 'RETRY_POLICY_INVALID');
    expect(error).toMatchObject({ limit: 'an integer from 1 to 1000' });
  });

  it.each([
    ['retry', undefined],
    ['retry', null],
    ['retry', 3],
    ['retry', []],
    ['retry.maxAttempts', {}],
    ['retry.maxAttempts', { maxAttempts: 0 }],
    ['retry.initialDelayMs', { maxAttempts: 1, initialDelayMs: 0 }],
    ['retry.maxDelayMs', { maxAttempts: 1, initialDelayMs: 10, maxDelayMs: 9 }],
    ['retry.factor', { maxAttempts: 1, factor: 0.5 }],
    ['retry.jitter', { maxAttempts: 1, jitter: 2 }],
    ['retry.retryOn', { maxAttempts: 1, retryOn: 'timeout' }],
    ['retry.retryOn', { maxAttempts: 1, retryOn: ['sometimes'] }],
    ['retry.retryOn', { maxAttempts: 1, retryOn: ['fatal'] }],
    ['retry.attempts', { maxAttempts: 1, attempts: 3 }],
  ])('RETRY_POLICY_INVALID names stages.photos.%s for %o', (field, retry) => {
    expectError(errorOfStage({ retry }), `stages.photos.${field}`, 'RETRY_POLICY_INVALID');
  });

  it.each(['timeout', 'heartbeatTimeout', 'unexpected'])(
    'R-IDEM-1: RETRY_POLICY_INVALID for an atMostOnce stage that retries %s: its effect may have happened',
    (failureClass) => {
      const retry = { maxAttempts: 2, retryOn: ['retryable', failureClass] };
      const error = errorOfStage({ effect: 'atMostOnce', retry });
      expectError(error, 'stages.photos.retry.retryOn', 'RETRY_POLICY_INVALID');
      expect(error.got).toBe(failureClass);
      expect(() => defineStages(['photos', { ...okStage, effect: 'idempotent', retry }])).not.toThrow();
    },
  );

  it.each([
    ['atMostOnce', ['retryable', 'rateLimited']],
    ['idempotent', ['retryable', 'rateLimited', 'timeout', 'heartbeatTimeout', 'unexpected']],
  ])('R-IDEM-1: by default a stage that is %s retries %j', (effect, retryOn) => {
    expect(defineStages(['photos', { ...okStage, effect }])).toMatchObject({ stages: [{ retry: { retryOn } }] });
  });

  it('a setting that is undefined has its default', () => {
    expect(defineStages(['photos', { ...okStage, retry: { maxAttempts: 2, jitter: undefined } }])).toMatchObject({
      stages: [{ retry: { maxAttempts: 2, jitter: 0.5 } }],
    });
  });
});
