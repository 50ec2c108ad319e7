import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

import { assert, EngineError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import { identifyNewChild, isRunning, type ProcessIdentity } from './process-identity.ts';

const endPollMs = 20;
/** Time between two looks at an adopted process, whose end no event tells. */
const adoptedPollMs = 250;

/** How a process ended; both null when it was not our child and nobody knows. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A nats-server process, started by this process or by an earlier one. */
export class NatsProcess {
  readonly identity: ProcessIdentity;
  /** Resolves when the process is gone. */
  readonly ended: Promise<ProcessEnd>;
  readonly #clock: Clock;
  #hasEnded = false;

  private constructor(identity: ProcessIdentity, clock: Clock, ended: Promise<ProcessEnd>) {
    this.identity = identity;
    this.#clock = clock;
    this.ended = ended.finally(() => (this.#hasEnded = true));
  }

  /**
   * Starts a server.
   *
   * @param onSpawn - called in the turn of the start: who is killed in the next moment has left a record of what it started
   * @throws EngineError `NATS_BINARY_MISSING` when the program cannot be run
   */
  static async launch(options: {
    readonly binary: string;
    readonly configFile: string;
    readonly folder: string;
    /** Gets what the server writes before its own log is open. */
    readonly outputFile: string;
    readonly clock: Clock;
    readonly onSpawn: (identity: ProcessIdentity) => void;
  }): Promise<NatsProcess> {
    // A file, not a pipe: the server must be able to write after the engine has died.
    const output = openSync(options.outputFile, 'w', 0o600);
    let child: ChildProcess;
    try {
      // Its own session: an interrupt from the terminal is for the engine, which stops the server last.
      child = spawn(options.binary, ['-c', options.configFile], {
        cwd: options.folder,
        detached: true,
        stdio: ['ignore', output, output],
      });
    } finally {
      closeSync(output);
    }
    const identity = child.pid === undefined ? undefined : identifyNewChild(child.pid);
    if (identity !== undefined) options.onSpawn(identity);
    const ended = new Promise<ProcessEnd>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => {
        reject(new EngineError('NATS_BINARY_MISSING', `nats-server cannot be run: ${cause.message}`, { cause }));
      });
    });
    assert(identity !== undefined, () => `process ${child.pid} was started and cannot be looked at`);
    return new NatsProcess(identity, options.clock, ended);
  }

  /** A server that runs already. Its end is seen within a quarter of a second. */
  static adopt(identity: ProcessIdentity, clock: Clock): NatsProcess {
    const ended = new Promise<ProcessEnd>((resolve) => {
      const look = (): void => {
        if (isRunning(identity)) clock.setTimer(adoptedPollMs, look);
        else resolve({ code: null, signal: null });
      };
      look();
    });
    return new NatsProcess(identity, clock, ended);
  }

  /** False as soon as the end is known; for an adopted process, also before {@link ended} has noticed. */
  isRunning(): boolean {
    return !this.#hasEnded && isRunning(this.identity);
  }

  /**
   * SIGTERM, then SIGKILL after `timeoutMs`; resolves when the process is gone, with whether it had to be killed.
   * A process that has ended already is left alone, also when another has its number now.
   */
  async end(timeoutMs: number): Promise<{ readonly wasKilled: boolean }> {
    const killAtMs = this.#clock.monotonicMs() + timeoutMs;
    let wasKilled = false;
    if (!this.isRunning()) return { wasKilled };
    this.#send('SIGTERM');
    this.#send('SIGCONT'); // A frozen process gets no SIGTERM before it runs again.
    while (this.isRunning()) {
      if (!wasKilled && this.#clock.monotonicMs() >= killAtMs) {
        this.#send('SIGKILL');
        wasKilled = true;
      }
      await new Promise<void>((resolve) => {
        this.#clock.setTimer(endPollMs, resolve);
      });
    }
    await this.ended;
    return { wasKilled };
  }

  #send(signal: NodeJS.Signals): void {
    try {
      process.kill(this.identity.pid, signal);
    } catch {
      // It ended between the look and the signal.
    }
  }
}
