import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { definePipeline } from '../../../src/pipeline/define-pipeline.ts';
import { PipelineRegistry } from '../../../src/pipeline/registry.ts';

function define(name: string, version: number, timeoutMs = 1_000) {
  return definePipeline({
    name,
    version,
    input: z.unknown(),
    stages: (pipeline) =>
      pipeline.stage('only', { output: z.unknown(), driver: () => 1, retry: { maxAttempts: 1 }, timeoutMs }),
  });
}

describe('PipelineRegistry', () => {
  const card = [define('card', 2), define('card', 10), define('card', 1)];
  const registry = new PipelineRegistry([...card, define('album', 1)]);

  it('finds a version, and the newest by number when none is given', () => {
    expect(registry.find('card', 2)).toBe(card[0]);
    expect(registry.find('card')).toBe(card[1]);
  });

  it('lists all definitions by name and version', () => {
    expect(registry.list().map(({ name, version }) => `${name} ${version}`)).toEqual([
      'album 1',
      'card 1',
      'card 2',
      'card 10',
    ]);
  });

  it('keeps the first of two equal definitions', () => {
    registry.register(define('card', 2));
    expect(registry.find('card', 2)).toBe(card[0]);
    expect(registry.list()).toHaveLength(4);
  });

  it('DEFINITION_CHANGED for the same version with another fingerprint, with what to do', () => {
    expect(() => registry.register(define('card', 2, 5_000))).toThrow(
      expect.objectContaining({ code: 'DEFINITION_CHANGED', hint: 'give the changed definition a new version' }),
    );
    expect(registry.find('card', 2)).toBe(card[0]);
  });

  it('PIPELINE_UNKNOWN lists the names that are known', () => {
    expect(() => registry.find('carts')).toThrow(
      expect.objectContaining({ code: 'PIPELINE_UNKNOWN', limit: 'one of album, card', got: 'carts' }),
    );
    expect(() => registry.find('constructor')).toThrow(expect.objectContaining({ code: 'PIPELINE_UNKNOWN' }));
  });

  it('PIPELINE_UNKNOWN of an empty registry says that it is empty', () => {
    expect(() => new PipelineRegistry().find('card')).toThrow(
      expect.objectContaining({ code: 'PIPELINE_UNKNOWN', limit: 'no pipeline is registered' }),
    );
  });

  it('PIPELINE_VERSION_UNKNOWN lists the versions that are available', () => {
    expect(() => registry.find('card', 3)).toThrow(
      expect.objectContaining({ code: 'PIPELINE_VERSION_UNKNOWN', limit: 'one of 1, 2, 10', got: '3' }),
    );
  });
});
