import { MemoryMetrics } from '../../src/platform/memory-metrics.ts';
import { SystemClock } from '../../src/platform/system-clock.ts';
import { SystemRandom } from '../../src/platform/system-random.ts';
import { EventPublisher } from '../../src/projections/event-publisher.ts';
import { ensureJournalStream } from '../../src/store/journal-stream.ts';
import { NatsEventStream } from '../../src/store/nats-event-stream.ts';
import { NatsJournal } from '../../src/store/nats-journal.ts';
import { openStoreKit } from './nats-store-kit.ts';

// A publisher of events as a process of its own, to be killed: `publisher-process.ts <servers> <namespace>`.

const [servers = '', namespace = ''] = process.argv.slice(2);
const clock = new SystemClock();
const random = new SystemRandom();
const kit = await openStoreKit(servers.split(','));
const stream = await ensureJournalStream(kit.link, { ...kit, namespace, replicas: 1 });
const journal = new NatsJournal({ ...kit, namespace, stream });
const events = new NatsEventStream({ ...kit, random, namespace });
new EventPublisher({
  journal,
  stream: events,
  clock,
  random,
  logger: kit.logger,
  metrics: new MemoryMetrics(),
  namespace,
}).start();
process.send?.('ready');
process.once('disconnect', () => process.exit(1));
