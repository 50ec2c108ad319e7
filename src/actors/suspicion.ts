import type { EngineConfig } from '../core/config.ts';
import { suspicionOf, type StageControl } from '../pipeline/control.ts';

type Limits = Pick<EngineConfig, 'maxInterruptions' | 'suspectAfterInterruptions'>;

/** How a suspect starts. A stage that kills its node is alone when it does, so that the next loss is held against it alone. */
export interface Probation {
  /** Losses that are held against the stage; the most suspected one starts first. */
  readonly suspicion: number;
  /** One more loss ends the task, and no probation clears it any more: it runs beside no other suspect, from its start to its end. */
  readonly isAlone: boolean;
  /** Whether the stage is still a suspect when it has passed. */
  readonly staysSuspect: boolean;
}

/** Whether the stage was running at so many losses of its owner that it may be what kills the node. Pure. */
export function isSuspect(control: StageControl, config: Limits): boolean {
  return suspicionOf(control) >= config.suspectAfterInterruptions;
}

/**
 * Whether a passed probation may clear the stage of one loss: as often as losses are allowed at all, so that a poison that acts
 * later than a probation lasts comes to its end too. Pure.
 */
export function mayBeCleared(control: StageControl, config: Limits): boolean {
  return control.clearances < config.maxInterruptions;
}

/** The probation that the stage must go through at its next start; null: none. Pure. */
export function probationOf(control: StageControl, config: Limits): Probation | null {
  if (!isSuspect(control, config)) return null;
  const suspicion = suspicionOf(control);
  const clears = mayBeCleared(control, config);
  return {
    suspicion,
    isAlone: !clears && suspicion >= config.maxInterruptions,
    staysSuspect: !clears || suspicion - 1 >= config.suspectAfterInterruptions,
  };
}
