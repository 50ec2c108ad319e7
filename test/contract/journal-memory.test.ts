import { SystemClock } from '../../src/platform/system-clock.ts';
import type { Journal } from '../../src/ports/journal.ts';
import { MemoryJournal } from '../../src/store/memory-journal.ts';
import { testJournal, type JournalWorld } from './journal.contract.ts';

function memoryWorld(replicas: 1 | 3, latencyMs: number): () => Promise<JournalWorld> {
  const clock = new SystemClock();
  return () =>
    Promise.resolve({
      freshJournal: () => Promise.resolve<Journal>(new MemoryJournal({ clock, replicas, latencyMs })),
      anotherClientOf: (journal) => Promise.resolve(journal),
      stop: () => Promise.resolve(),
    });
}

testJournal('in memory, by the rules of one server', { replicas: 1 }, memoryWorld(1, 0));
testJournal('in memory, by the rules of three replicas', { replicas: 3 }, memoryWorld(3, 0));
testJournal('in memory, by the rules of three replicas, with latency', { replicas: 3 }, memoryWorld(3, 1));
