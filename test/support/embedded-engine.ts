import { startEmbeddedNats } from '../../src/platform/embedded-nats.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { SystemClock } from '../../src/platform/system-clock.ts';

// An engine that starts its own nats-server on the folder given, says so in one line, and stays until it is killed.
const server = await startEmbeddedNats({
  dataDir: process.argv[2] ?? '',
  sync: 'always',
  logger: new MemoryLogger(),
  clock: new SystemClock(),
});
process.stdout.write(JSON.stringify({ url: server.url, pid: server.pid, adopted: server.adopted }));
