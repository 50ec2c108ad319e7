import { readState } from '../platform/embedded-nats-state.ts';
import { isRunning } from '../platform/process-identity.ts';

/**
 * Asks the nats-server on a data folder to end, without waiting for it: for an engine that holds the folder and itself ends
 * at once.
 */
export function endEmbeddedNats(dataDir: string): void {
  const state = readState(dataDir);
  if (state === undefined || !isRunning(state)) return;
  try {
    process.kill(state.pid, 'SIGTERM');
  } catch {
    // It ended in this moment.
  }
}
