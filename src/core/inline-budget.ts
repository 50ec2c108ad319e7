import type { EngineConfig } from './config.ts';

/**
 * Bytes of payloads that a task may carry inline, half of them for input and outputs, half for the current stage's checkpoints: with
 * its other parts a snapshot stays under the smallest message limit in use, 1 MiB, whatever its drivers return.
 */
export const taskInlineBytes = 512 * 1024;

/** Largest input or output kept inline in a pipeline of that many stages. */
export function inlineResultBytes(config: Pick<EngineConfig, 'inlinePayloadBytes'>, stageCount: number): number {
  return Math.min(config.inlinePayloadBytes, Math.floor(taskInlineBytes / 2 / (stageCount + 1)));
}

/** Largest checkpoint kept inline. */
export function inlineCheckpointBytes(config: Pick<EngineConfig, 'inlinePayloadBytes' | 'maxCheckpoints'>): number {
  return Math.min(config.inlinePayloadBytes, Math.floor(taskInlineBytes / 2 / config.maxCheckpoints));
}
