import { replay } from '../../src/actors/evolve.ts';
import { isFinished, positionOf, type TaskState } from '../../src/actors/task-state.ts';
import { decodeCommit } from '../../src/core/commit-codec.ts';
import type { Epoch, Sequence, ShardId, StageName, TaskId } from '../../src/core/ids.ts';
import type { Commit, TaskRecord } from '../../src/core/records.ts';
import { PipelineRegistry } from '../../src/pipeline/registry.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';
import type { Journal, JournalEntry } from '../../src/ports/journal.ts';

/** A start of a stage as the journal tells it. */
export interface StageStart {
  readonly task: TaskId;
  readonly stage: StageName;
  readonly attempt: number;
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly sequence: Sequence;
}

/** One taking of a shard. */
export interface Claim {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly node: string;
  readonly incarnation: string;
  readonly sequence: Sequence;
}

/** What a whole journal says, and where it breaks a rule. */
export interface JournalReport {
  /** Each broken rule in one line; empty when all hold. */
  readonly violations: readonly string[];
  /** Every task as replay leaves it. */
  readonly tasks: ReadonlyMap<TaskId, TaskState>;
  readonly records: readonly TaskRecord[];
  readonly starts: readonly StageStart[];
  readonly claims: readonly Claim[];
}

/** All messages of all shards from the first on, as the stream's leader has them. */
export async function readWholeJournal(journal: Journal, shardCount: number): Promise<readonly JournalEntry[]> {
  const entries: JournalEntry[] = [];
  for (let index = 0; index < shardCount; index += 1) {
    const shard = index as ShardId;
    const last = await journal.readLast(shard);
    if (last === null) continue;
    for await (const entry of journal.read({ shard, after: 0 as Sequence, through: last.sequence }))
      entries.push(entry);
  }
  return entries.toSorted((left, right) => left.sequence - right.sequence);
}

/**
 * Replays a journal that was never trimmed and looks for what must not be in it. Pure.
 *
 * - a shard's epochs strictly rise; an epoch begins with its claim and nothing of an older one follows it
 * - a commit follows the one that it was conditioned on, and the batches of an epoch have no gap
 * - a task's records have no gap, each leads where it says, and none follows its end
 * - a stage completes at most once, and each of its starts has a higher attempt than the one before
 */
export function checkJournal(
  entries: readonly JournalEntry[],
  definitions: readonly PipelineDefinition[],
): JournalReport {
  const checker = new JournalChecker(new PipelineRegistry(definitions));
  for (const entry of entries) checker.take(entry);
  return checker;
}

interface ShardChain {
  readonly epoch: Epoch;
  readonly batch: number;
  readonly sequence: Sequence;
}

class JournalChecker implements JournalReport {
  readonly violations: string[] = [];
  readonly tasks = new Map<TaskId, TaskState>();
  readonly records: TaskRecord[] = [];
  readonly starts: StageStart[] = [];
  readonly claims: Claim[] = [];
  readonly #registry: PipelineRegistry;
  readonly #chains = new Map<ShardId, ShardChain>();
  readonly #attempts = new Map<string, number>();
  readonly #completions = new Set<string>();

  constructor(registry: PipelineRegistry) {
    this.#registry = registry;
  }

  take(entry: JournalEntry): void {
    const commit = decodeCommit(entry.body);
    this.#checkChain(entry, commit);
    for (const record of commit.records) this.#checkRecord(entry, commit, record);
  }

  #checkChain({ shard, sequence, previous }: JournalEntry, { epoch, batch, owner, records }: Commit): void {
    const known = this.#chains.get(shard);
    this.#chains.set(shard, { epoch, batch, sequence });
    if (previous !== (known?.sequence ?? 0)) this.#broken(sequence, `follows ${known?.sequence}, not ${previous}`);
    if (owner !== undefined) {
      this.claims.push({ shard, ...owner, sequence });
      if (owner.epoch !== epoch || batch !== 1 || records.length > 0) this.#broken(sequence, 'is no proper claim');
      if (known !== undefined && epoch <= known.epoch) {
        this.#broken(sequence, `claims epoch ${epoch} after ${known.epoch}`);
      }
      return;
    }
    if (epoch !== known?.epoch) this.#broken(sequence, `is of epoch ${epoch} within epoch ${known?.epoch}`);
    if (batch !== (known?.batch ?? 0) + 1) this.#broken(sequence, `is batch ${batch} after ${known?.batch}`);
  }

  #checkRecord({ shard, sequence }: JournalEntry, { epoch }: Commit, record: TaskRecord): void {
    this.records.push(record);
    const before = this.tasks.get(record.task) ?? null;
    if (before !== null && isFinished(before)) {
      this.#broken(sequence, `task ${record.task} goes on after ${before.machine.value}`);
      return;
    }
    const { event } = record;
    const pipeline = event.type === 'task.submitted' ? event : before;
    if (pipeline === null) {
      this.#broken(sequence, `task ${record.task} begins with ${event.type}`);
      return;
    }
    let after: TaskState;
    try {
      const definition = this.#registry.find(pipeline.pipeline, pipeline.version);
      after = replay({ definition, state: before, record, dedupWindowSize: 32 });
    } catch (error) {
      this.#broken(sequence, String(error));
      return;
    }
    this.tasks.set(record.task, after);
    this.#checkCompletion(sequence, record, before);
    this.#checkStart(before, after, { task: record.task, shard, epoch, sequence });
  }

  #checkCompletion(sequence: Sequence, { task, event }: TaskRecord, before: TaskState | null): void {
    const isCompletion =
      event.type === 'stage.completed' || (event.type === 'outcome.resolved' && event.resolution.kind === 'completed');
    if (!isCompletion || before === null) return;
    const completed = `${task}/${positionOf(before.machine.value).stage}`;
    if (this.#completions.has(completed)) this.#broken(sequence, `completes ${completed} again`);
    this.#completions.add(completed);
  }

  #checkStart(
    before: TaskState | null,
    after: TaskState,
    where: Pick<StageStart, 'task' | 'shard' | 'epoch' | 'sequence'>,
  ): void {
    const { status, stage } = positionOf(after.machine.value);
    if (status !== 'running' || stage === null) return;
    const { attempt } = after.machine.control;
    const was = before === null ? null : positionOf(before.machine.value);
    if (was?.status === 'running' && was.stage === stage && before?.machine.control.attempt === attempt) return;
    const key = `${where.task}/${stage}`;
    const last = this.#attempts.get(key) ?? 0;
    if (attempt <= last) this.#broken(where.sequence, `starts attempt ${attempt} of ${key} after ${last}`);
    this.#attempts.set(key, attempt);
    this.starts.push({ ...where, stage, attempt });
  }

  #broken(sequence: Sequence, what: string): void {
    this.violations.push(`${sequence}: ${what}`);
  }
}
