import { fileURLToPath } from 'node:url';
import { startNats } from './nats-server.ts';
import type { PeerServer } from './peer-server.ts';
import { startPostgres } from './postgres-server.ts';
import { startRedis } from './redis-server.ts';
import { startRestate } from './restate-server.ts';

/** A system in the table. */
export interface System {
  /** As `--systems` names it. */
  readonly id: string;
  readonly title: string;
  /** What is on disk when a write is acknowledged. */
  readonly durability: string;
  /** How it is set beyond its defaults. */
  readonly tuning: string;
  readonly worker: string;
  readonly client: string;
  /** Whether its programs are in the peers' own package. */
  readonly isPeer: boolean;
  start(): Promise<PeerServer>;
}

const ours = {
  tuning: 'one node, 8 shards',
  worker: fileURLToPath(new URL('cabinet-worker.js', import.meta.url)),
  client: fileURLToPath(new URL('cabinet-client.js', import.meta.url)),
  isPeer: false,
};
const bullmq = {
  tuning:
    'one job a task with an update a stage, 256 jobs at a time, autopipelining, stalled jobs looked for every 5 s',
  ...filesOf('bullmq'),
  isPeer: true,
};

/** All systems, in the order of the table: each of ours above the peers that it is to be compared with. */
export const systems: readonly System[] = [
  {
    ...ours,
    id: 'cabinet-1s',
    title: 'Cabinet Pipeline',
    durability: 'fsync every second',
    start: () => startNats('1s'),
  },
  {
    ...bullmq,
    id: 'bullmq-everysec',
    title: 'BullMQ',
    durability: 'fsync every second',
    start: () => startRedis('everysec'),
  },
  {
    ...ours,
    id: 'cabinet-always',
    title: 'Cabinet Pipeline',
    durability: 'fsync before the answer',
    start: () => startNats('always'),
  },
  {
    ...bullmq,
    id: 'bullmq-always',
    title: 'BullMQ',
    durability: 'fsync before the answer',
    start: () => startRedis('always'),
  },
  {
    id: 'restate',
    title: 'Restate',
    durability: 'fsync before the answer',
    tuning: 'a workflow of five ctx.run, 2 partitions, HTTP/2 in both directions',
    ...filesOf('restate'),
    isPeer: true,
    start: startRestate,
  },
  {
    id: 'pg-boss',
    title: 'pg-boss',
    durability: 'fsync before the answer',
    tuning: 'a queue a stage, batches of 256 in one transaction, LISTEN/NOTIFY, heartbeats of 10 s',
    ...filesOf('pg-boss'),
    isPeer: true,
    start: startPostgres,
  },
  {
    id: 'graphile-worker',
    title: 'graphile-worker',
    durability: 'fsync before the answer',
    tuning:
      'a task a stage, 64 jobs at a time, local queue of 256, inserts and completions in batches; a dead worker keeps its jobs for 4 hours',
    ...filesOf('graphile'),
    isPeer: true,
    start: startPostgres,
  },
];

/** The worker and the client of a peer, compiled in the peers' own folder, where its packages are found. */
function filesOf(name: string): { readonly worker: string; readonly client: string } {
  const folder = new URL('../../../peers/dist/systems/', import.meta.url);
  return {
    worker: fileURLToPath(new URL(`${name}-worker.js`, folder)),
    client: fileURLToPath(new URL(`${name}-client.js`, folder)),
  };
}
