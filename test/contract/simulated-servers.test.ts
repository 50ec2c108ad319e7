import { afterAll } from 'vitest';

import { SimulatedRig } from '../support/simulated-rig.ts';
import { blobsContract } from './blobs.contract.ts';
import { testBus } from './bus.contract.ts';
import { testJournal } from './journal.contract.ts';
import { leasesContract } from './leases.contract.ts';
import { snapshotsContract } from './snapshots.contract.ts';

// What the simulator lets the engine run on must behave as the real server does: the same suites hold both.

const rigs: SimulatedRig[] = [];

function aRig(replicas: 1 | 3): SimulatedRig {
  const rig = new SimulatedRig(replicas);
  rigs.push(rig);
  return rig;
}

afterAll(() => {
  for (const rig of rigs) rig.stop();
});

for (const replicas of [1, 3] as const) {
  const name = `the simulator's model of ${replicas === 1 ? 'one server' : 'three servers'}`;

  testJournal(name, { replicas }, async () => {
    const byJournal = new Map<object, SimulatedRig>();
    return {
      freshJournal: async () => {
        const rig = aRig(replicas);
        const { journal } = rig.storeClient();
        byJournal.set(journal, rig);
        return journal;
      },
      anotherClientOf: async (journal) => (byJournal.get(journal) ?? aRig(replicas)).storeClient().journal,
      stop: async () => undefined,
    };
  });

  snapshotsContract(name, async () => {
    const rig = aRig(replicas);
    const { snapshots: store } = rig.storeClient();
    return { store, other: rig.storeClient().snapshots, elapse: (ms) => rig.elapse(ms) };
  });

  leasesContract(name, async () => {
    const rig = aRig(replicas);
    const { leases: store } = rig.storeClient();
    return { store, other: rig.storeClient().leases, elapse: (ms) => rig.elapse(ms) };
  });

  blobsContract(name, async () => {
    const rig = aRig(replicas);
    return { store: rig.storeClient().blobs, other: rig.storeClient().blobs };
  });
}

testBus('the simulator', async () => {
  const rig = aRig(1);
  const plain = rig.busClient();
  return {
    client: async () => rig.busClient(),
    sendWithoutReply: (subject, body) => plain.send(subject, body),
    thrownCount: () => rig.logger.lines.filter(({ message }) => message === 'a request handler threw').length,
    stop: async () => undefined,
  };
});
