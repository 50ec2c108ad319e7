import { backoffDelayMs } from '../core/backoff.ts';
import type { PipelineDefinition, StageSpec } from './definition.ts';

/** The limits of one stage, proved by its definition. */
export interface StageBounds {
  readonly stage: string;
  /** Attempts without a redrive; an interrupted one is not counted, interruptions have a limit of their own. */
  readonly maxAttempts: number;
  /**
   * Longest time from the first start to the last end, in milliseconds: all attempts run into their timeout and every backoff is the
   * longest. Waits that nobody can bound by definition are left out: for a slot, for an operator, for an owner, and what a rate
   * limit asks for.
   */
  readonly longestMs: number;
}

/** The limits of a pipeline, in all and stage by stage. */
export interface PipelineBounds {
  readonly maxAttempts: number;
  readonly longestMs: number;
  readonly stages: readonly StageBounds[];
}

/** The finite limits that a definition proves. */
export function boundsOf(definition: Pick<PipelineDefinition, 'stages'>): PipelineBounds {
  const stages = definition.stages.map((stage) => stageBounds(stage));
  return {
    maxAttempts: stages.reduce((sum, stage) => sum + stage.maxAttempts, 0),
    longestMs: stages.reduce((sum, stage) => sum + stage.longestMs, 0),
    stages,
  };
}

function stageBounds({ name, retry, timeoutMs, deadlineMs }: StageSpec): StageBounds {
  let longestMs = retry.maxAttempts * timeoutMs;
  for (let attempt = 1; attempt < retry.maxAttempts; attempt += 1) longestMs += backoffDelayMs(retry, attempt, 0);
  // No retry is due after the deadline, so that the last attempt starts before it and may use its timeout.
  const latestMs = deadlineMs === null ? Infinity : deadlineMs + timeoutMs;
  return { stage: name, maxAttempts: retry.maxAttempts, longestMs: Math.min(longestMs, latestMs) };
}
