import type { PipelineName, Sequence } from '../../src/core/ids.ts';
import type { TaskRecord } from '../../src/core/records.ts';
import type { Journal } from '../../src/ports/journal.ts';
import { MemoryLogger, MemoryMetrics, SeededRandom, VirtualClock } from '../../src/testing.ts';
import { GroupCommit, type CommitLoss } from '../../src/shard/group-commit.ts';
import { ShardMetrics } from '../../src/shard/shard-metrics.ts';
import { MemoryJournal, type MemoryJournalOptions } from '../../src/store/memory-journal.ts';
import { epochOf, nodeOf, sequenceOf, shard, taskOf } from './shard-kit.ts';

/** A record that no machine has seen: group commit carries it and does not look in. */
export function anyRecord(task: string, seq = 1, padding = ''): TaskRecord {
  const event = { type: 'task.paused', origin: { commandId: 'c' as never, reason: padding } } as const;
  return { task: taskOf(task), seq, at: 1, event, to: 'parse.held', pipeline: 'card' as PipelineName, version: 1 };
}

/** Group commit of one shard over a journal in memory. */
export class CommitWorld {
  readonly clock = new VirtualClock();
  readonly metrics = new MemoryMetrics();
  readonly logger = new MemoryLogger();
  readonly journal: MemoryJournal;
  readonly losses: CommitLoss[] = [];
  /** What ran after its commit, in order: `<label>@<sequence>`. */
  readonly ran: string[] = [];
  readonly #random = new SeededRandom(1);

  constructor(options: Partial<MemoryJournalOptions> = {}) {
    this.journal = new MemoryJournal({ clock: this.clock, ...options });
  }

  /** Group commit of an owner that has not claimed yet. */
  owner(
    epoch: number,
    options: { readonly lastSequence?: number; readonly journal?: Journal; readonly maxCommitBytes?: number } = {},
  ): GroupCommit {
    const { lastSequence = 0, journal = this.journal, maxCommitBytes = 64 * 1024 } = options;
    return new GroupCommit(
      {
        journal,
        clock: this.clock,
        random: this.#random,
        logger: this.logger,
        metrics: new ShardMetrics(this.metrics),
        maxCommitBytes,
        onLost: (loss) => this.losses.push(loss),
      },
      { shard, epoch: epochOf(epoch), lastSequence: sequenceOf(lastSequence) },
    );
  }

  /** Group commit of an owner whose claim stands. */
  async claimed(epoch = 1, options: Parameters<CommitWorld['owner']>[1] = {}): Promise<GroupCommit> {
    const commit = this.owner(epoch, options);
    await this.run(commit.claim(aClaim(epoch)));
    return commit;
  }

  /** Adds a record and notes when it is acknowledged. */
  add(commit: GroupCommit, label: string, padding = ''): void {
    commit.add(anyRecord(label, 1, padding), (sequence) => this.note(label, sequence));
  }

  note(label: string, sequence: Sequence): void {
    this.ran.push(`${label}@${sequence}`);
  }

  async run<Value>(promise: Promise<Value>): Promise<Value> {
    let settled = false;
    const watched = promise.finally(() => {
      settled = true;
    });
    watched.catch(() => {});
    await this.clock.runUntil(() => settled);
    return watched;
  }
}

/** The claim of an epoch. */
export function aClaim(epoch: number): {
  epoch: ReturnType<typeof epochOf>;
  node: ReturnType<typeof nodeOf>;
  incarnation: string;
} {
  return { epoch: epochOf(epoch), node: nodeOf(`n-${epoch}`), incarnation: `i-${epoch}` };
}
