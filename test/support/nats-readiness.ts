import { setTimeout as sleep } from 'node:timers/promises';

import { readMetaLeader, readNatsHealth } from '../../src/platform/nats-monitor.ts';

const readyTimeoutMs = 30_000;
const pollIntervalMs = 20;

/** A server that is starting. */
export interface StartingNats {
  readonly name: string;
  readonly monitorUrl: string;
  /** It is ready when it knows who leads its cluster's JetStream. */
  readonly needsMetaLeader: boolean;
  /** Whether it has ended meanwhile. */
  hasEnded(): boolean | Promise<boolean>;
  log(): Promise<string>;
}

/**
 * Resolves when a server is healthy. The line "Server is ready" in its log comes a second too early: a JetStream request in
 * that second is never answered.
 *
 * @throws Error with the last lines of its log
 */
export async function untilNatsReady(server: StartingNats): Promise<void> {
  const deadlineAt = Date.now() + readyTimeoutMs;
  for (;;) {
    const health = await readNatsHealth(server.monitorUrl);
    const hasLeader = !server.needsMetaLeader || (await readMetaLeader(server.monitorUrl)) !== undefined;
    if (health.healthy && hasLeader) return;
    if (await server.hasEnded()) {
      throw new Error(`nats-server ${server.name} ended while it started: ${lastLines(await server.log())}`);
    }
    if (Date.now() > deadlineAt) {
      const leader = hasLeader ? '' : ', no meta leader';
      const log = lastLines(await server.log());
      throw new Error(
        `nats-server ${server.name} is not ready in ${readyTimeoutMs} ms: ${health.detail}${leader}\n${log}`,
      );
    }
    await sleep(pollIntervalMs);
  }
}

function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-15).join('\n');
}
