import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { definePipeline } from '../../../src/pipeline/define-pipeline.ts';

const always = (): boolean => true;
const never = (): boolean => false;

function fingerprint(stageFields: object = {}, fields: object = {}): string {
  return definePipeline({
    name: 'card',
    version: 1,
    input: z.unknown(),
    stages: (pipeline) =>
      pipeline
        .stage('parse', {
          output: z.unknown(),
          driver: () => 1,
          retry: { maxAttempts: 3, retryOn: ['timeout', 'retryable'] },
          timeoutMs: 1_000,
          ...stageFields,
        })
        .stage('photos', { output: z.unknown(), driver: () => 1, retry: { maxAttempts: 3 }, timeoutMs: 1_000 }),
    ...fields,
  }).fingerprint;
}

describe('a fingerprint', () => {
  it('is 64 hexadecimal digits, the same for the same definition on any day', () => {
    expect(fingerprint()).toMatch(/^[0-9a-f]{64}$/);
    expect(fingerprint()).toBe(fingerprint());
  });

  it('never changes with a build: recorded versions would be refused', () => {
    expect(fingerprint()).toBe('c1faad4a0b8940568ccae8dc1caf4dbc63ad88889951711aad2c8bc976cde3c8');
  });

  it.each([
    ['the name', {}, { name: 'cards' }],
    ['the version', {}, { version: 2 }],
    ['a retry policy', { retry: { maxAttempts: 4 } }, {}],
    ['a timeout', { timeoutMs: 2_000 }, {}],
    ['a heartbeat timeout', { heartbeatTimeoutMs: 100 }, {}],
    ['a deadline', { deadlineMs: 9_000 }, {}],
    ['a new skip', { skip: { reason: 'unwanted', when: always } }, {}],
  ])('differs when %s does', (_what, stageFields, fields) => {
    expect(fingerprint(stageFields, fields)).not.toBe(fingerprint());
  });

  it('differs when an effect does', () => {
    const retry = { maxAttempts: 3, retryOn: ['retryable'] };
    expect(fingerprint({ retry, effect: 'atMostOnce' })).not.toBe(fingerprint({ retry }));
  });

  it("differs when a skip's reason does, or the stages' order", () => {
    expect(fingerprint({ skip: { reason: 'a', when: always } })).not.toBe(
      fingerprint({ skip: { reason: 'b', when: always } }),
    );
    const stage = { output: z.unknown(), driver: () => 1, retry: { maxAttempts: 1 }, timeoutMs: 1 };
    const ordered = (first: string, second: string): string =>
      definePipeline({
        name: 'card',
        version: 1,
        input: z.unknown(),
        stages: (pipeline) => pipeline.stage(first, stage).stage(second, stage),
      }).fingerprint;
    expect(ordered('a', 'b')).not.toBe(ordered('b', 'a'));
  });

  it('is the same whatever decides when a stage runs, how it is written, or what code does it', () => {
    expect(fingerprint({ concurrency: 2 })).toBe(fingerprint());
    expect(fingerprint({ port: 'board' })).toBe(fingerprint());
    expect(fingerprint({ effect: 'idempotent' })).toBe(fingerprint());
    expect(fingerprint({ driver: { execute: () => 2 } })).toBe(fingerprint());
    expect(fingerprint({ retry: { retryOn: ['retryable', 'timeout'], maxAttempts: 3 } })).toBe(fingerprint());
    expect(fingerprint({ skip: { reason: 'a', when: always } })).toBe(
      fingerprint({ skip: { when: never, reason: 'a' } }),
    );
  });
});
