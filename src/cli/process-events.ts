/** A wish from outside that the process end. */
export type StopSignal = 'SIGINT' | 'SIGTERM';

/** Who deals with what comes to a process from outside. */
export interface ProcessEventHandlers {
  readonly onSignal: (signal: StopSignal) => void;
  /** An error that nobody caught. */
  readonly onCrash: (error: unknown) => void;
  /** The reader of stdout has gone away. */
  readonly onOutputClosed: () => void;
  /** SIGUSR2. Nothing happens where nobody rolls. */
  readonly onRoll?: () => void;
}

/** Hands signals, crashes and a closed stdout to whoever claimed them last: first the process itself, then a command that serves. */
export class ProcessEvents {
  #handlers: ProcessEventHandlers;

  constructor(handlers: ProcessEventHandlers) {
    this.#handlers = handlers;
  }

  /** From now on these are asked instead. */
  claim(handlers: ProcessEventHandlers): void {
    this.#handlers = handlers;
  }

  signal(signal: StopSignal): void {
    this.#handlers.onSignal(signal);
  }

  crash(error: unknown): void {
    this.#handlers.onCrash(error);
  }

  roll(): void {
    this.#handlers.onRoll?.();
  }

  outputClosed(): void {
    this.#handlers.onOutputClosed();
  }
}
