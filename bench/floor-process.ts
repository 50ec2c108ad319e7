import { silentLogger } from '../src/client/silent-logger.ts';
import { decodeCommit } from '../src/core/commit-codec.ts';
import type { Sequence, ShardId } from '../src/core/ids.ts';
import { SystemClock } from '../src/platform/system-clock.ts';
import { ensureJournalStream } from '../src/store/journal-stream.ts';
import { NatsJournal } from '../src/store/nats-journal.ts';
import { AckInbox } from '../src/transport/ack-inbox.ts';
import { connectNats } from '../src/transport/nats-connection.ts';
import { ownSettings } from './child-process.ts';

/**
 * Settings of the bare publisher, a process of its own. It reads what an engine has committed, then appends the same bytes to a stream
 * of the same settings in another namespace: commit by commit, one append in flight a shard, each with its condition and message id.
 * There is no group to wait for and nothing to decide: that is the floor.
 */
export interface FloorSettings {
  readonly servers: string | readonly string[];
  readonly namespace: string;
  readonly replicas: number;
  /** Commits up to this sequence warm it up; those after it, up to `through`, are measured. */
  readonly after: number;
  readonly through: number;
}

/** What it measured. */
export interface FloorFigures {
  readonly seconds: number;
  readonly commits: number;
  readonly bytes: number;
  readonly records: number;
}

interface ShardFloor {
  readonly warmUp: Uint8Array[];
  readonly measured: Uint8Array[];
  last: Sequence;
  batch: number;
}

const settings = ownSettings() as FloorSettings;
const { servers, replicas } = settings;
const shards = new Map<ShardId, ShardFloor>();
let records = 0;
const clock = new SystemClock();
const link = await connectNats({ servers, name: 'bench-floor', clock, logger: silentLogger });
const acks = new AckInbox({ link, clock, logger: silentLogger, timeoutMs: 5_000 });
await readCommits(await journalOf(settings.namespace));
const floorJournal = await journalOf(`${settings.namespace}-floor`);

await appendAll('warmUp');
process.send?.('warm');
process.once('message', () => void measure());
process.on('disconnect', () => process.exit(1));

async function measure(): Promise<void> {
  process.once('message', () => process.exit(0));
  const beganMs = performance.now();
  await appendAll('measured');
  const seconds = (performance.now() - beganMs) / 1_000;
  const bodies = [...shards.values()].flatMap(({ measured }) => measured);
  const bytes = bodies.reduce((sum, { length }) => sum + length, 0);
  process.send?.({ seconds, commits: bodies.length, bytes, records } satisfies FloorFigures);
}

/** The stream as it is, or a new one with the engine's settings. */
async function journalOf(namespace: string): Promise<NatsJournal> {
  const stream = await ensureJournalStream(link, { namespace, replicas, clock, logger: silentLogger });
  return new NatsJournal({ link, acks, namespace, stream, clock, logger: silentLogger });
}

async function readCommits(journal: NatsJournal): Promise<void> {
  const enough = new AbortController();
  for await (const { shard, sequence, body } of journal.follow({ after: 0 as Sequence, signal: enough.signal })) {
    if (sequence > settings.through) break;
    const floor = shards.get(shard) ?? { warmUp: [], measured: [], last: 0 as Sequence, batch: 0 };
    shards.set(shard, floor);
    if (sequence > settings.after) {
      floor.measured.push(body);
      records += decodeCommit(body).records.length;
    } else {
      floor.warmUp.push(body);
    }
    if (sequence === settings.through) break;
  }
  enough.abort();
  journal.close();
}

async function appendAll(part: 'warmUp' | 'measured'): Promise<void> {
  await Promise.all(
    [...shards].map(async ([shard, floor]) => {
      for (const body of floor[part]) {
        floor.batch += 1;
        const messageId = `${shard}.1.${floor.batch}`;
        const outcome = await floorJournal.append({ shard, body, expectedLast: floor.last, messageId });
        if (outcome.kind !== 'committed') throw new Error(`the floor's append ended as ${outcome.kind}`);
        floor.last = outcome.sequence;
      }
    }),
  );
}
