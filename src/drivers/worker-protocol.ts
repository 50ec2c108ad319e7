import type { JsonValue } from '../core/json.ts';
import type { HostedOperation } from './hosted-run.ts';
import type { HostMessage, RunMessage, RunResult } from './run-messages.ts';
import type { StageRequest } from './stage-request.ts';

/** What a worker thread is started with. */
export interface WorkerSetup {
  /** The URL of the driver's module. */
  readonly module: string;
  readonly exportName: string;
  readonly settings: JsonValue;
  readonly maximumValueBytes: number;
  readonly maximumLogLines: number;
  /** One `Int32`; see {@link heartbeatFlag}. */
  readonly shared: SharedArrayBuffer;
}

/**
 * Index of the flag that is 1 while a heartbeat of the thread is on its way or fresh. A driver that calls `heartbeat` in a
 * tight loop sends one message a window, not one a call.
 */
export const heartbeatFlag = 0;

/** What the engine's side tells a thread, as JSON text. `run` numbers the runs of a thread. */
export type ToWorker =
  | {
      readonly type: 'run';
      readonly run: number;
      readonly operation: HostedOperation;
      readonly request: StageRequest;
    }
  | { readonly type: 'message'; readonly run: number; readonly message: RunMessage };

/** What a thread tells the engine's side, as JSON text. */
export type FromWorker =
  /** The module is loaded, and the driver is about to be called: from here on its effect may happen. */
  | { readonly type: 'started'; readonly run: number }
  | { readonly type: 'message'; readonly run: number; readonly message: HostMessage }
  | { readonly type: 'result'; readonly run: number; readonly result: RunResult; readonly droppedLogLines: number };
