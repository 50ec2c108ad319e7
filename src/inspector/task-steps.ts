import type { Sequence, ShardId, TaskId } from '../core/ids.ts';
import type { Commit } from '../core/records.ts';
import type { Journal, JournalEntry } from '../ports/journal.ts';
import { commitOfEntry } from '../projections/entry-commit.ts';
import type { InspectedStep } from './inspected-step.ts';

/** What the journal has of a task and of who owned it. */
export interface TaskSteps {
  /** Oldest first; before the first record stands at most who had the shard then. */
  readonly steps: readonly InspectedStep[];
  /** Records before the first one here, which are trimmed. */
  readonly missingCount: number;
  /** Up to here the shard's journal was read. */
  readonly through: Sequence;
}

/** What is looked for in an entry: its bytes tell whether it is worth to be decoded. */
export interface StepFilter {
  readonly taskId: TaskId;
  readonly taskIdBytes: Buffer;
}

const ownerMark = Buffer.from('incarnation');

/** The filter of a task. */
export function filterOf(taskId: TaskId): StepFilter {
  return { taskId, taskIdBytes: Buffer.from(taskId) };
}

/** Whether an entry may concern the task. Never wrongly says no: ids stand in commits as they are. */
export function mayConcern({ body }: JournalEntry, { taskIdBytes }: StepFilter): boolean {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return bytes.includes(taskIdBytes) || bytes.includes(ownerMark);
}

/** The steps of one task in an entry. */
export function stepsOfEntry({ sequence }: JournalEntry, commit: Commit, taskId: TaskId): readonly InspectedStep[] {
  const { owner, at, epoch, records } = commit;
  const claimed = owner === undefined ? [] : [{ kind: 'owner', sequence, at, owner } as const];
  const own = records.flatMap((record, index) =>
    record.task === taskId ? [{ kind: 'record', sequence, index, epoch, record } as const] : [],
  );
  return [...claimed, ...own];
}

/**
 * Reads a task's steps off its shard's journal. Costs a read of what the journal has of the shard, and none of the owner's time. When
 * the id was used again, the newest task of that id is told.
 *
 * @throws EngineError `RECORD_CORRUPT` that names the sequence, `UNAVAILABLE`
 */
export async function readTaskSteps(request: {
  readonly journal: Journal;
  readonly shard: ShardId;
  readonly taskId: TaskId;
}): Promise<TaskSteps> {
  const { journal, shard, taskId } = request;
  const last = await journal.readLast(shard);
  const through = last?.sequence ?? (0 as Sequence);
  let steps: InspectedStep[] = [];
  let missingCount = 0;
  let isFound = false;
  if (through > 0) {
    const filter = filterOf(taskId);
    for await (const entry of journal.read({ shard, after: 0 as Sequence, through })) {
      if (!mayConcern(entry, filter)) continue;
      for (const step of stepsOfEntry(entry, commitOfEntry(entry), taskId)) {
        if (step.kind === 'record' && (!isFound || step.record.seq === 1)) {
          steps = steps.filter(({ kind }) => kind === 'owner').slice(-1);
          missingCount = step.record.seq - 1;
          isFound = true;
        }
        if (step.kind === 'owner' && !isFound) steps = [];
        steps.push(step);
      }
    }
  }
  return { steps, missingCount, through };
}
