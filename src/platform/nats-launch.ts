import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { EngineError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import { formatNatsConfig, natsConfigFile, natsLogFile } from './nats-config.ts';
import { readComplaint } from './nats-log.ts';
import { readNatsHealth } from './nats-monitor.ts';
import { NatsProcess } from './nats-process.ts';
import type { ProcessIdentity } from './process-identity.ts';

const pollIntervalMs = 25;

/** Writes the configuration and starts a server on a data folder; it is not healthy yet. */
export async function launchNats(options: {
  readonly binary: string;
  readonly dataDir: string;
  readonly port: number;
  readonly monitorPort: number;
  readonly sync: 'always' | 'default';
  readonly clock: Clock;
  /** See {@link NatsProcess.launch}. */
  readonly onSpawn: (identity: ProcessIdentity) => void;
}): Promise<NatsProcess> {
  const { binary, clock, dataDir, onSpawn } = options;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const configFile = natsConfigFile(dataDir);
  await writeFile(`${configFile}.new`, formatNatsConfig(options), { mode: 0o600 });
  await rename(`${configFile}.new`, configFile);
  return NatsProcess.launch({ binary, configFile, folder: dataDir, outputFile: outputFile(dataDir), clock, onSpawn });
}

/**
 * Waits until JetStream can be used. "Server is ready" in the log comes about a second before that.
 *
 * @throws EngineError `NATS_UNREACHABLE` with the server's last complaint when it ends, or is not healthy in time
 */
export async function waitUntilHealthy(options: {
  readonly started: NatsProcess;
  readonly monitorUrl: string;
  readonly dataDir: string;
  readonly timeoutMs: number;
  readonly clock: Clock;
}): Promise<void> {
  const { clock, dataDir, monitorUrl, started, timeoutMs } = options;
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  for (;;) {
    const health = await readNatsHealth(monitorUrl);
    // Asked after the answer: on a port that ours failed to get, another server may answer.
    if (!started.isRunning()) {
      throw unreachable(`it ended: ${await readComplaint([outputFile(dataDir), natsLogFile(dataDir)])}`, dataDir);
    }
    if (health.healthy) return;
    if (clock.monotonicMs() > deadlineMs)
      throw unreachable(`not healthy in ${timeoutMs} ms: ${health.detail}`, dataDir);
    await pause(clock, pollIntervalMs);
  }
}

/** Resolves after a span of the clock. */
export function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(delayMs, resolve);
  });
}

function unreachable(reason: string, dataDir: string): EngineError {
  return new EngineError('NATS_UNREACHABLE', `the embedded nats-server did not start: ${reason}`, {
    hint: `see ${natsLogFile(dataDir)}`,
  });
}

function outputFile(dataDir: string): string {
  return join(dataDir, 'nats.output.log');
}
