import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { configDefaults } from '../../../src/core/config.ts';
import {
  inlineCheckpointBytes,
  inlineResultBytes,
  storedBytesPerJsonByte,
  taskInlineBytes,
} from '../../../src/core/inline-budget.ts';
import type { JsonValue } from '../../../src/core/json.ts';
import { MessagePackWriter } from '../../../src/core/messagepack-writer.ts';

describe('the inline budget of a task', () => {
  it('leaves a short pipeline the inline limit of its settings', () => {
    expect(inlineResultBytes({ inlinePayloadBytes: 24 * 1024 }, 5)).toBe(24 * 1024);
  });

  it.each([1, 5, 20, 64])('keeps input, outputs and checkpoints of %i stages within its bytes', (stageCount) => {
    const results = (stageCount + 1) * inlineResultBytes(configDefaults, stageCount);
    const checkpoints = configDefaults.maxCheckpoints * inlineCheckpointBytes(configDefaults);
    expect(results + checkpoints).toBeLessThanOrEqual(taskInlineBytes);
  });

  it('never allows more than the inline limit', () => {
    expect(inlineCheckpointBytes({ inlinePayloadBytes: 300, maxCheckpoints: 1 })).toBe(300);
  });

  it('knows how much larger than its JSON any value is as it is stored', () => {
    const writer = new MessagePackWriter();
    const storedBytes = (value: unknown): number => {
      writer.json(value as JsonValue);
      return writer.take().length;
    };
    const decimals = fc.array(fc.integer({ min: -99, max: 99 }).map((tenths) => tenths / 10));
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.array(fc.double({ noNaN: true })), decimals), (value) => {
        const json = JSON.parse(JSON.stringify(value)) as unknown;
        const jsonBytes = Buffer.byteLength(JSON.stringify(json));
        // The value alone may be one decimal without its comma.
        expect(storedBytes(json)).toBeLessThanOrEqual(jsonBytes * storedBytesPerJsonByte + 5);
      }),
      { numRuns: 500 },
    );
    const many = Array.from({ length: 1_000 }, () => 0.5);
    expect(storedBytes(many) / JSON.stringify(many).length).toBeGreaterThan(storedBytesPerJsonByte - 0.01);
  });
});
