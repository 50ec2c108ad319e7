import type { NodeLife } from '../core/node-messages.ts';
import type { NodeProcessMessage, NodeProcessOrder } from '../core/process-messages.ts';
import type { LogFields } from '../ports/logger.ts';
import type { ProcessExit } from '../ports/node-processes.ts';
import type { StopOutcome } from './process-state.ts';

/**
 * What a supervisor hears.
 *
 * - `start`: once, first
 * - `message`, `exit`, `pid`: of the process of that number; one that is not the slot's newest is too late and changes nothing
 * - `garbled`: a process said what no version of this engine says; its memory is not to be trusted any more
 * - `tick`: time has passed; by how much more than was asked, tells whether it was the supervisor itself that was away
 * - `stop`: everything is to end in good order. A second one changes nothing
 * - `abort`: everything is to end now
 * - `fail`: something that all need is gone for good
 * - `roll`: one node after the other is to be started anew
 */
export type ProcessEvent =
  | { readonly type: 'start' }
  | { readonly type: 'pid'; readonly slot: number; readonly process: number; readonly pid: number | null }
  | { readonly type: 'message'; readonly slot: number; readonly process: number; readonly message: NodeProcessMessage }
  | { readonly type: 'exit'; readonly slot: number; readonly process: number; readonly exit: ProcessExit }
  | { readonly type: 'garbled'; readonly slot: number; readonly process: number; readonly problem: string }
  | { readonly type: 'tick'; readonly lateMs: number }
  | { readonly type: 'stop' }
  | { readonly type: 'abort' }
  | { readonly type: 'fail'; readonly outcome: Extract<StopOutcome, { readonly kind: 'failed' }> }
  | { readonly type: 'roll' };

/** What a supervisor does, as data. */
export type ProcessAction =
  | { readonly type: 'start'; readonly slot: number; readonly process: number }
  | { readonly type: 'send'; readonly slot: number; readonly order: NodeProcessOrder }
  | { readonly type: 'kill'; readonly slot: number }
  /** The other nodes are told that this life is over. */
  | { readonly type: 'tellExited'; readonly life: NodeLife }
  | { readonly type: 'count'; readonly reason: string }
  | { readonly type: 'up'; readonly slot: number; readonly isUp: boolean }
  | {
      readonly type: 'log';
      readonly level: 'info' | 'warn' | 'error';
      readonly fields: LogFields;
      readonly message: string;
    }
  /** All nodes serve for the first time. */
  | { readonly type: 'ready' }
  /** No process is left, and none will be started. */
  | { readonly type: 'ended'; readonly outcome: StopOutcome };
