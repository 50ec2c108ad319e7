import type { EngineConfig } from './config.ts';

/**
 * How much larger than its JSON text a value may be in a record or snapshot: MessagePack takes nine bytes for a short decimal such as
 * `0.5`, which with its comma has four in JSON. Everything else takes no more than in JSON.
 */
export const storedBytesPerJsonByte = 9 / 4;

/**
 * Bytes of JSON that a task may carry inline, half of them for input and outputs, half for the current stage's checkpoints. As it is
 * stored that is at most {@link storedBytesPerJsonByte} times as much, 810 KiB; the names of checkpoints, references to what lies
 * outside, remembered commands and the last failure find room beside it, so that a snapshot stays under the smallest message limit
 * in use, 1 MiB, whatever its drivers return.
 */
export const taskInlineBytes = 360 * 1024;

/** Largest input or output kept inline in a pipeline of that many stages. */
export function inlineResultBytes(config: Pick<EngineConfig, 'inlinePayloadBytes'>, stageCount: number): number {
  return Math.min(config.inlinePayloadBytes, Math.floor(taskInlineBytes / 2 / (stageCount + 1)));
}

/** Largest checkpoint kept inline. */
export function inlineCheckpointBytes(config: Pick<EngineConfig, 'inlinePayloadBytes' | 'maxCheckpoints'>): number {
  return Math.min(config.inlinePayloadBytes, Math.floor(taskInlineBytes / 2 / config.maxCheckpoints));
}
