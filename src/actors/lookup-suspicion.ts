import type { EngineConfig } from '../core/config.ts';
import type { StageSpec } from '../pipeline/definition.ts';
import type { TaskState } from './task-state.ts';

/**
 * Whether the stage's driver is to be asked what became of the interrupted attempt. Pure. After too many losses of its owner with
 * the question open it is not any more: the lookup may be what kills the node, and the outcome stays unknown until an operator knows.
 */
export function isAsked(
  { lookupLosses = 0 }: Pick<TaskState, 'lookupLosses'>,
  spec: StageSpec,
  config: Pick<EngineConfig, 'maxInterruptions'>,
): boolean {
  return spec.driver.lookup !== undefined && lookupLosses <= config.maxInterruptions;
}

/**
 * Whether a lookup with so many losses against it may be what kills the node: it is asked alone among such, so that the next loss
 * is held against it alone. Pure.
 */
export function isSuspectLookup(losses: number, config: Pick<EngineConfig, 'suspectAfterInterruptions'>): boolean {
  return losses >= config.suspectAfterInterruptions;
}
