import { parseArgs } from 'node:util';
import { startBoardServer } from './board-server.ts';
import { holdFolder } from './folder-holder.ts';

const { values } = parseArgs({
  options: {
    'data-dir': { type: 'string' },
    port: { type: 'string', default: '0' },
    'fault-503': { type: 'string', default: '0' },
    'fault-429': { type: 'string', default: '0' },
    'fault-slow': { type: 'string', default: '0' },
    'fault-lost-answer': { type: 'string', default: '0' },
    'slow-ms': { type: 'string', default: '500' },
    seed: { type: 'string', default: '0' },
    'end-with-parent': { type: 'boolean', default: false },
  },
});
if (values['data-dir'] === undefined) throw new Error('--data-dir is required');

await holdFolder(values['data-dir']);
const board = await startBoardServer({
  dataDir: values['data-dir'],
  port: Number(values.port),
  faults: {
    unavailable: Number(values['fault-503']),
    rateLimited: Number(values['fault-429']),
    slow: Number(values['fault-slow']),
    lostAnswer: Number(values['fault-lost-answer']),
  },
  slowMs: Number(values['slow-ms']),
  seed: Number(values.seed),
  onLogFailure(error) {
    // What is on disk is not known any more; a restart reads it again and knows.
    console.error(JSON.stringify({ type: 'log-failure', message: error.message }));
    process.exit(1);
  },
});
console.log(JSON.stringify({ type: 'listening', url: board.url, pid: process.pid }));

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    void board.close().then(() => process.exit(0));
  });
}

// Started by a program that has gone, `kill -9` included: end at once. What was applied is on disk; a half-written line is not.
if (values['end-with-parent']) process.stdin.on('end', () => process.exit(0)).resume();
