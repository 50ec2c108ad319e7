import { dirname } from 'node:path';

import { readNatsServerInfo } from '../../src/platform/nats-monitor.ts';
import { startNats } from './nats-server.ts';

// A test process that never stops its server, to be killed by the test of the fixture.
const nats = await startNats({ provider: 'binary' });
const info = await readNatsServerInfo(nats.monitorUrls[0] ?? '');
process.stdout.write(JSON.stringify({ pid: nats.pid(), folder: dirname(dirname(info?.storeDir ?? '/nowhere/x')) }));
setInterval(() => undefined, 60_000);
