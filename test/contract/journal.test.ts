import { NatsWorld } from '../support/nats-world.ts';
import { startNats } from '../support/nats-server.ts';
import { testJournal } from './journal.contract.ts';

testJournal(
  'one NATS server',
  { replicas: 1 },
  async () => new NatsWorld(await startNats({ servers: 1, sync: 'default' }), 1),
);
testJournal(
  'three NATS servers with three replicas',
  { replicas: 3 },
  async () => new NatsWorld(await startNats({ servers: 3, sync: 'default' }), 3),
);
