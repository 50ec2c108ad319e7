import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { monitorUrlOf, readState, removeState } from './embedded-nats-state.ts';
import { takeFolderLock } from './folder-lock.ts';
import { pause } from './nats-launch.ts';
import { readConnectionNames } from './nats-monitor.ts';
import { NatsProcess } from './nats-process.ts';

const lookIntervalMs = 100;
const stopTimeoutMs = 10_000;

/**
 * Ends the nats-server on a data folder whose supervisor was killed, once none of the supervisor's node processes is connected to it
 * any more. Several processes may call this at once: the folder's lock lets one of them do it. A supervisor that has started
 * meanwhile holds the lock, and the server is its.
 *
 * @param isSibling - whether a connection's name is that of one of those processes
 * @param waitMs - how long the others may take to leave; then the server is left for the next engine to adopt
 */
export async function endOrphanedNats(options: {
  readonly dataDir: string;
  readonly isSibling: (connectionName: string) => boolean;
  readonly waitMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}): Promise<void> {
  const { dataDir, isSibling, waitMs, clock, logger } = options;
  const deadlineMs = clock.monotonicMs() + waitMs;
  for (;;) {
    const state = readState(dataDir);
    const names = state === undefined ? undefined : await readConnectionNames(monitorUrlOf(state));
    if (names === undefined || clock.monotonicMs() >= deadlineMs) return;
    if (![...names].some(isSibling)) break;
    await pause(clock, lookIntervalMs);
  }
  const lock = await takeFolderLock(dataDir, 'engine.lock');
  if (lock.kind === 'held') return;
  const state = readState(dataDir);
  if (state !== undefined) {
    await NatsProcess.adopt(state, clock).end(stopTimeoutMs);
    removeState(dataDir);
    logger.info({ pid: state.pid }, 'the nats-server of a supervisor that has died was stopped');
  }
  await lock.release();
}
