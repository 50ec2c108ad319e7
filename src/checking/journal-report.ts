import type { TaskState } from '../actors/task-state.ts';
import type { TaskId } from '../core/ids.ts';
import type { TaskRecord } from '../core/records.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { JournalEntry } from '../ports/journal.ts';
import { checkHistory, formatViolation } from './check-history.ts';
import { HistoryRecorder } from './history-recorder.ts';
import type { Claim, StageStart } from './story.ts';

/** What a whole journal says, and where it breaks a rule. */
export interface JournalReport {
  /** Each broken invariant in one line; empty when all hold. */
  readonly violations: readonly string[];
  /** Every task as replay leaves it. */
  readonly tasks: ReadonlyMap<TaskId, TaskState>;
  readonly records: readonly TaskRecord[];
  readonly starts: readonly StageStart[];
  readonly claims: readonly Claim[];
}

/** Judges a journal that was never trimmed by itself: every invariant that needs nothing else. Pure. */
export function checkJournal(
  entries: readonly JournalEntry[],
  definitions: readonly PipelineDefinition[],
): JournalReport {
  const recorder = new HistoryRecorder({ namespace: '', shardCount: 0, parts: [] });
  const history = recorder.finish({ entries, endedAt: entries.at(-1)?.storedAt ?? 0, isHealed: false });
  const { violations, story } = checkHistory(history, { definitions });
  const { tasks, steps, starts, claims } = story;
  return {
    violations: violations.map(formatViolation),
    tasks,
    records: steps.map(({ record }) => record),
    starts,
    claims,
  };
}
