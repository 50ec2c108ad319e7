// Finds a usable nats-server, fetching it once if need be, and prints its path: `NATS_SERVER_BIN=$(tsx scripts/fetch-nats.ts)`.
import { EngineError } from '../src/core/errors.ts';
import { findNatsBinary } from '../src/platform/nats-binary.ts';

try {
  const binary = await findNatsBinary();
  for (const { place, reason } of binary.passedOver) process.stderr.write(`passed over ${place}: ${reason}\n`);
  process.stderr.write(`nats-server ${binary.version} by ${binary.foundBy} (${binary.detail})\n`);
  process.stdout.write(`${binary.path}\n`);
} catch (error) {
  if (!(error instanceof EngineError)) throw error;
  process.stderr.write(`${error.code}: ${error.message}\n${error.hint ?? ''}\n`);
  process.exitCode = 1;
}
