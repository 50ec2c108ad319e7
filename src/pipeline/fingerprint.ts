import { contentHash } from '../core/hash.ts';
import type { PipelineDefinition, StageSpec } from './definition.ts';

// A change of what is hashed here refuses every version that is recorded already.
const fingerprintFormat = 1;

/**
 * The SHA-256 of all that decides a task's path: the stages in order, their limits, their skips. Drivers, schemas and conditions
 * are functions and have no hash; concurrency and port decide when a stage runs, not what.
 */
export function fingerprintOf(definition: Pick<PipelineDefinition, 'name' | 'version' | 'stages'>): string {
  return contentHash({
    format: fingerprintFormat,
    name: definition.name,
    version: definition.version,
    stages: definition.stages.map((stage) => stageFacts(stage)),
  });
}

function stageFacts(stage: StageSpec) {
  return {
    name: stage.name,
    retry: { ...stage.retry, retryOn: stage.retry.retryOn.toSorted() },
    timeoutMs: stage.timeoutMs,
    heartbeatTimeoutMs: stage.heartbeatTimeoutMs,
    deadlineMs: stage.deadlineMs,
    effect: stage.effect,
    skip: stage.skip === null ? null : { reason: stage.skip.reason },
  };
}
