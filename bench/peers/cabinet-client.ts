import { connectClient } from '../../src/client.ts';
import { serveLoad } from './load-client.ts';
import { workload, workloadInput } from '../workload.ts';

// The load client of this engine: `cabinet-client <nats url> <namespace>`.

/** Longer than the parent waits for a batch whose worker was killed. */
const resultTimeoutMs = 600_000;

const [, , servers = '', namespace = 'bench'] = process.argv;
const client = await connectClient({ servers, namespace, deadlineMs: 60_000 });

serveLoad({
  run: async (number) => {
    await client.run(workload, workloadInput(number), { timeoutMs: resultTimeoutMs });
  },
  close: () => client.close(),
});
