import { createServer } from 'node:net';

import { EngineError } from '../core/errors.ts';

// Below the ephemeral ranges of Linux (32768 up) and of other systems (49152 up). A port from there may be taken by an
// outgoing connection while its server restarts, and a client that reconnects to it may even connect to itself.
const lowestPort = 10_240;
const highestPort = 32_000;
const attemptsPerPort = 50;

/**
 * Distinct TCP ports that nobody listens on at this moment, for a server that a child process will bind.
 *
 * Another process may take one before the child does; whoever starts the child tries again with fresh ports.
 *
 * @throws EngineError `UNAVAILABLE` when no free port is found
 */
export async function findFreePorts(count: number, host = '127.0.0.1'): Promise<readonly number[]> {
  const ports = new Set<number>();
  for (let attempt = 0; ports.size < count; attempt += 1) {
    if (attempt >= count * attemptsPerPort) {
      throw new EngineError('UNAVAILABLE', `no free TCP port on ${host} after ${attempt} tries`, {
        limit: `${lowestPort} to ${highestPort}`,
      });
    }
    const port = lowestPort + Math.floor(Math.random() * (highestPort - lowestPort));
    if (await isFree(port, host)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
