import type { NodeProcessOrder } from '../core/process-messages.ts';

/** How a process ended: by itself with a code, or by a signal. Both null: it could not be started. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** Who is told what a process says and when it ends. */
export interface NodeProcessListener {
  /** With whatever it said: a driver may have corrupted the process. */
  readonly onMessage: (said: unknown) => void;
  /** Called once, after the last message; also for one that could not be started. Never within the turn of the start. */
  readonly onExit: (exit: ProcessExit) => void;
}

/** A node process. */
export interface NodeProcess {
  /** Null when it could not be started. */
  readonly pid: number | null;
  /** Never throws: what a process that is gone does not hear is of no interest. */
  send(order: NodeProcessOrder): void;
  /** Ends it at once; a frozen one too. */
  kill(): void;
}

/** Starts node processes on this machine. They never outlive the process that started them for longer than their grace. */
export interface NodeProcesses {
  start(listener: NodeProcessListener): NodeProcess;
}
