import { resolve } from 'node:path';

import { asError, assert, EngineError } from '../core/errors.ts';
import { noteCrash } from '../core/restart-intensity.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import {
  checkState,
  findUnrecorded,
  monitorUrlOf,
  readState,
  removeState,
  urlOf,
  writeState,
  type EmbeddedNatsState,
} from './embedded-nats-state.ts';
import { takeFolderLock } from './folder-lock.ts';
import { findFreePorts } from './free-port.ts';
import { findNatsBinary, type NatsBinary } from './nats-binary.ts';
import { natsLogFile } from './nats-config.ts';
import { readNatsServerInfo, type NatsServerInfo } from './nats-monitor.ts';
import { launchNats, pause, waitUntilHealthy } from './nats-launch.ts';
import { NatsProcess, type ProcessEnd } from './nats-process.ts';
import { compareVersions, minimumNatsVersion } from '../core/server-version.ts';

const adoptPollMs = 25;
/** Fresh ports are tried this often when another process takes one before the server does. */
const portAttempts = 4;
const firstRestartDelayMs = 100;
const longestRestartDelayMs = 5_000;

/** Options of {@link startEmbeddedNats}. */
export interface EmbeddedNatsOptions {
  /** Folder of the server's data, configuration, log and state; made when it is not there. One engine a folder. */
  readonly dataDir: string;
  /** `always`: an acknowledged write survives a power cut. `default`: it survives the end of the processes. */
  readonly sync: 'always' | 'default';
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics?: Metrics;
  /** The server to run; looked for, and fetched if need be, when left out. */
  readonly binary?: Pick<NatsBinary, 'path' | 'version'>;
  /** Time to become healthy, 60 s when left out. A large store is read first. */
  readonly startTimeoutMs?: number;
  /** Time to end after SIGTERM before SIGKILL, 10 s when left out. */
  readonly stopTimeoutMs?: number;
  /** Restarts within {@link restartPeriodMs} before it is given up; 5 when left out. */
  readonly restartIntensity?: number;
  /** 60 s when left out. */
  readonly restartPeriodMs?: number;
}

/** An end of the server that nobody asked for. */
export interface EmbeddedNatsExit extends ProcessEnd {
  /** False: it was given up, and the engine cannot go on. */
  readonly willRestart: boolean;
}

/** A nats-server of the engine's own, on loopback. */
export interface EmbeddedNats {
  /** Stays the same over restarts. */
  readonly url: string;
  readonly monitorUrl: string;
  /** Of the process that runs now; changes with a restart. */
  readonly pid: number;
  /** It was found running, left behind by an engine that died. */
  readonly adopted: boolean;
  readonly version: string;
  /** Restarts since {@link startEmbeddedNats}. */
  readonly restarts: number;
  /** Calls the listener at each end that nobody asked for; gives the function that removes it. */
  onExit(listener: (exit: EmbeddedNatsExit) => void): () => void;
  /** Ends the server: SIGTERM, then SIGKILL after the bound. Resolves when the process is gone. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts the engine's own nats-server, or adopts the one that a killed engine left running on the same data folder.
 *
 * A folder has one engine: a second one is refused, since the first would stop the server under it when it ends; it can
 * join by `NATS_URL`. The server outlives an engine that is killed, so that the next one finds it warm, and it must never
 * meet a second server on its files: the folder is locked, and a recorded server is adopted or ended before another is
 * started. It has no password: whoever may run programs on this machine may connect to it.
 *
 * @throws EngineError `CONFIG_INVALID` when the folder is in use or cannot be written, `NATS_BINARY_MISSING` and
 *   `SERVER_VERSION_UNSUPPORTED` as {@link findNatsBinary}, `NATS_UNREACHABLE` when the server does not become healthy
 */
export async function startEmbeddedNats(options: EmbeddedNatsOptions): Promise<EmbeddedNats> {
  const dataDir = resolve(options.dataDir);
  const release = await takeFolder(dataDir);
  try {
    const binary = options.binary ?? (await findNatsBinary());
    const server = new EmbeddedServer({ ...options, dataDir, binary }, release);
    await server.start();
    return server;
  } catch (error) {
    await release();
    throw error;
  }
}

async function takeFolder(dataDir: string): Promise<() => Promise<void>> {
  const lock = await takeFolderLock(dataDir, 'engine.lock').catch((error: unknown) => {
    if (error instanceof EngineError) throw error;
    throw new EngineError('CONFIG_INVALID', `the data folder cannot be written: ${asError(error).message}`, {
      field: 'dataDir',
      got: dataDir,
      hint: 'name a folder that this user may write',
      cause: error,
    });
  });
  if (lock.kind === 'taken') return lock.release;
  const state = readState(dataDir);
  throw new EngineError(
    'CONFIG_INVALID',
    `the data folder is in use by process ${lock.holder.pid} on ${lock.holder.host}`,
    {
      field: 'dataDir',
      got: dataDir,
      limit: 'one engine a data folder',
      hint:
        state === undefined
          ? 'name another data folder'
          : `name another data folder, or join with NATS_URL=${urlOf(state)}`,
    },
  );
}

interface ResolvedOptions extends EmbeddedNatsOptions {
  readonly binary: Pick<NatsBinary, 'path' | 'version'>;
}

interface Ports {
  readonly port: number;
  readonly monitorPort: number;
}

class EmbeddedServer implements EmbeddedNats {
  readonly #options: ResolvedOptions;
  readonly #releaseFolder: () => Promise<void>;
  readonly #restartCounter: Counter | undefined;
  readonly #listeners = new Set<(exit: EmbeddedNatsExit) => void>();
  #state: EmbeddedNatsState | undefined;
  #process: NatsProcess | undefined;
  #adopted = false;
  #version = '';
  #restarts = 0;
  #crashesMs: readonly number[] = [];
  #restartTimer: TimerHandle | undefined;
  #restarting: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(options: ResolvedOptions, releaseFolder: () => Promise<void>) {
    this.#options = options;
    this.#releaseFolder = releaseFolder;
    this.#restartCounter = options.metrics?.counter({
      name: 'embedded_nats_restarts_total',
      help: 'Restarts of the embedded nats-server after an end that nobody asked for',
    });
  }

  get url(): string {
    return urlOf(this.#known());
  }

  get monitorUrl(): string {
    return monitorUrlOf(this.#known());
  }

  get pid(): number {
    return this.#known().pid;
  }

  get adopted(): boolean {
    return this.#adopted;
  }

  get version(): string {
    return this.#version;
  }

  get restarts(): number {
    return this.#restarts;
  }

  onExit(listener: (exit: EmbeddedNatsExit) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async start(): Promise<void> {
    try {
      await this.#adoptOrLaunch();
    } catch (error) {
      await this.#endProcess();
      throw error;
    }
    this.#watch();
  }

  async #adoptOrLaunch(): Promise<void> {
    const recorded = readState(this.#options.dataDir);
    if (recorded !== undefined && (await this.#adopt(recorded))) return;
    await this.#endUnrecorded();
    for (let attempt = 1; ; attempt += 1) {
      try {
        // The ports of last time first: clients that still know them reconnect by themselves.
        await this.#launch(attempt === 1 && recorded !== undefined ? recorded : await choosePorts());
        break;
      } catch (error) {
        await this.#endProcess();
        if (attempt >= portAttempts || !asError(error).message.includes('address already in use')) throw error;
      }
    }
    this.#options.logger.info(
      { url: this.url, pid: this.pid, version: this.#version, sync: this.#options.sync },
      'embedded nats-server started',
    );
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#restartTimer?.cancel();
    await this.#endProcess();
    await this.#restarting; // A restart under way sees the stop and ends what it has started.
    removeState(this.#options.dataDir);
    await this.#releaseFolder();
    this.#options.logger.info({ url: this.url }, 'embedded nats-server stopped');
  }

  /** Takes over the recorded server if it is ours and as wanted; ends it if it is ours and is not. False: start another. */
  async #adopt(recorded: EmbeddedNatsState): Promise<boolean> {
    const { clock, dataDir, logger, sync } = this.#options;
    const deadlineMs = clock.monotonicMs() + this.#startTimeoutMs();
    let check = await checkState(dataDir, recorded);
    while (check.kind === 'silent' && clock.monotonicMs() < deadlineMs) {
      await pause(clock, adoptPollMs); // Its engine may have been killed while it was starting.
      check = await checkState(dataDir, recorded);
    }
    if (check.kind === 'foreign') return false;
    this.#state = recorded;
    this.#process = NatsProcess.adopt(recorded, clock);
    if (check.kind === 'silent' || !isAsWanted(check.info, sync)) {
      logger.warn({ pid: recorded.pid, check: check.kind }, 'the nats-server left on the data folder is replaced');
      await this.#endProcess();
      return false;
    }
    this.#version = check.info.version;
    await this.#waitUntilHealthy(this.#process);
    this.#record({ ...recorded, serverId: check.info.serverId });
    this.#adopted = true;
    logger.info({ url: this.url, pid: this.pid, version: this.#version }, 'embedded nats-server adopted');
    return true;
  }

  async #endUnrecorded(): Promise<void> {
    const unrecorded = findUnrecorded(this.#options.dataDir);
    if (unrecorded === undefined) return;
    this.#options.logger.warn({ pid: unrecorded.pid }, 'a nats-server without a record on the data folder is ended');
    this.#process = NatsProcess.adopt(unrecorded, this.#options.clock);
    await this.#endProcess();
  }

  async #launch({ port, monitorPort }: Ports): Promise<void> {
    const { binary, clock, dataDir, sync } = this.#options;
    const launched = await launchNats({
      binary: binary.path,
      dataDir,
      port,
      monitorPort,
      sync,
      clock,
      onSpawn: (identity) => this.#record({ ...identity, port, monitorPort, serverId: '' }),
    });
    this.#process = launched;
    await this.#waitUntilHealthy(launched);
    const info = await readNatsServerInfo(this.monitorUrl);
    if (info === undefined) throw new EngineError('NATS_UNREACHABLE', 'the embedded nats-server does not tell its id');
    this.#version = info.version;
    this.#record({ ...this.#known(), serverId: info.serverId });
  }

  /** From now on an end that nobody asked for is followed by a restart. */
  #watch(): void {
    const watched = this.#process;
    assert(watched !== undefined, () => 'there is no nats-server to watch');
    const waitForEnd = async (): Promise<void> => {
      const end = await watched.ended;
      if (this.#process === watched) this.#scheduleRestart(end);
    };
    void waitForEnd();
  }

  #scheduleRestart(end: ProcessEnd): void {
    if (this.#stopped !== undefined) return;
    const { clock, logger } = this.#options;
    const { restartIntensity: intensity = 5, restartPeriodMs: periodMs = 60_000 } = this.#options;
    const { crashesMs, mayRestart } = noteCrash({ intensity, periodMs }, this.#crashesMs, clock.monotonicMs());
    this.#crashesMs = crashesMs;
    const fields = { ...end, pid: this.pid, restarts: this.#restarts, log: natsLogFile(this.#options.dataDir) };
    if (mayRestart) {
      const delayMs = Math.min(firstRestartDelayMs * 2 ** (crashesMs.length - 1), longestRestartDelayMs);
      logger.warn({ ...fields, delayMs }, 'embedded nats-server ended and will be restarted');
      this.#restartTimer = clock.setTimer(delayMs, () => {
        this.#restarting = this.#restart();
      });
    } else {
      logger.error(fields, 'embedded nats-server keeps ending and is given up');
    }
    this.#tell({ ...end, willRestart: mayRestart });
  }

  async #restart(): Promise<void> {
    this.#restarts += 1;
    this.#restartCounter?.add();
    const { logger } = this.#options;
    try {
      await this.#launch(this.#known());
      this.#watch();
      logger.info({ url: this.url, pid: this.pid, restarts: this.#restarts }, 'embedded nats-server restarted');
    } catch (error) {
      logger.error({ err: error }, 'embedded nats-server did not restart');
      await this.#endProcess();
      this.#scheduleRestart({ code: null, signal: null });
    }
    if (this.#stopped !== undefined) await this.#endProcess();
  }

  #tell(exit: EmbeddedNatsExit): void {
    for (const listener of this.#listeners) {
      try {
        listener(exit);
      } catch (error) {
        this.#options.logger.error({ err: error }, 'a listener for the end of nats-server threw');
      }
    }
  }

  async #endProcess(): Promise<void> {
    const ending = this.#process;
    if (ending === undefined) return;
    const { wasKilled } = await ending.end(this.#options.stopTimeoutMs ?? 10_000);
    if (wasKilled) {
      this.#options.logger.warn(
        { pid: ending.identity.pid },
        'embedded nats-server did not end in time and was killed',
      );
    }
  }

  #waitUntilHealthy(started: NatsProcess): Promise<void> {
    const { clock, dataDir } = this.#options;
    return waitUntilHealthy({
      started,
      monitorUrl: this.monitorUrl,
      dataDir,
      timeoutMs: this.#startTimeoutMs(),
      clock,
    });
  }

  #startTimeoutMs(): number {
    return this.#options.startTimeoutMs ?? 60_000;
  }

  #record(state: EmbeddedNatsState): void {
    this.#state = state;
    writeState(this.#options.dataDir, state);
  }

  #known(): EmbeddedNatsState {
    const state = this.#state;
    assert(state !== undefined, () => 'the embedded nats-server was never started');
    return state;
  }
}

function isAsWanted(info: NatsServerInfo, sync: 'always' | 'default'): boolean {
  return info.syncAlways === (sync === 'always') && compareVersions(info.version, minimumNatsVersion) >= 0;
}

async function choosePorts(): Promise<Ports> {
  const [port = 0, monitorPort = 0] = await findFreePorts(2);
  return { port, monitorPort };
}
