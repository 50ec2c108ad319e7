import { describe, expect, it } from 'vitest';
import { configDefaults } from '../../../src/core/config.ts';
import { inlineCheckpointBytes, inlineResultBytes, taskInlineBytes } from '../../../src/core/inline-budget.ts';

describe('the inline budget of a task', () => {
  it('leaves a short pipeline the inline limit of its settings', () => {
    expect(inlineResultBytes({ inlinePayloadBytes: 32 * 1024 }, 5)).toBe(32 * 1024);
  });

  it.each([1, 5, 20, 64])('keeps input, outputs and checkpoints of %i stages within its bytes', (stageCount) => {
    const results = (stageCount + 1) * inlineResultBytes(configDefaults, stageCount);
    const checkpoints = configDefaults.maxCheckpoints * inlineCheckpointBytes(configDefaults);
    expect(results + checkpoints).toBeLessThanOrEqual(taskInlineBytes);
  });

  it('never allows more than the inline limit', () => {
    expect(inlineCheckpointBytes({ inlinePayloadBytes: 300, maxCheckpoints: 1 })).toBe(300);
  });
});
