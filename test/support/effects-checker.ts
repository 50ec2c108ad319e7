import type { TaskState } from '../../src/actors/task-state.ts';
import type { JournalReport, StageStart } from './journal-checker.ts';
import { Ledger, type Execution } from './ledger.ts';

/** What a {@link Ledger} has recorded, wherever it runs. */
export type LedgerFacts = Pick<Ledger, 'executions' | 'duplicates' | 'appliedCount'>;

/**
 * Compares what was done to the world with what the journal says: each broken rule in one line, none when all hold.
 *
 * - no effect was applied twice, and those of a completed stage were applied
 * - every effect has the key of its stage, the same on all attempts, and the fence of a start that stands in the journal
 * - no attempt asked twice, none after a newer one was heard, and none again for a committed checkpoint
 */
export function checkEffects(ledger: LedgerFacts, report: JournalReport, namespace: string): readonly string[] {
  const starts = new Map(report.starts.map((start) => [`${start.task}/${start.stage}/${start.attempt}`, start]));
  return [
    ...ledger.duplicates.map((key) => `${key} was applied ${ledger.appliedCount(key)} times`),
    ...ledger.executions.flatMap((execution) => checkExecution(execution, starts, namespace)),
    ...checkOrder(ledger.executions),
    ...checkCheckpoints(ledger.executions, report, namespace),
    ...[...report.tasks.values()].flatMap((task) => checkOutputs(task, ledger, namespace)),
  ];
}

function checkExecution(
  { key, taskId, stage, attempt, fence }: Execution,
  starts: ReadonlyMap<string, StageStart>,
  namespace: string,
): readonly string[] {
  const own = `${namespace}:${taskId}:${stage}`;
  if (key !== own && !key.startsWith(`${own}:`)) return [`${key} is not the key of ${own}`];
  const start = starts.get(`${taskId}/${stage}/${attempt}`);
  if (start === undefined) return [`${key}: attempt ${attempt} ran without a committed start`];
  const isOfStart = start.shard === fence.shard && start.epoch === fence.epoch && start.sequence === fence.sequence;
  return isOfStart
    ? []
    : [`${key}: attempt ${attempt} has fence ${JSON.stringify(fence)}, its start ${JSON.stringify(start)}`];
}

function checkOrder(executions: readonly Execution[]): readonly string[] {
  const newest = new Map<string, number>();
  return executions.flatMap(({ key, attempt, result }) => {
    const before = newest.get(key) ?? 0;
    newest.set(key, Math.max(before, attempt));
    if (attempt === before) return [`${key}: attempt ${attempt} asked twice`];
    return attempt < before && result !== 'fenced' ? [`${key}: attempt ${attempt} was ${result} after ${before}`] : [];
  });
}

function checkCheckpoints(
  executions: readonly Execution[],
  report: JournalReport,
  namespace: string,
): readonly string[] {
  const committedBy = new Map<string, number>();
  for (const { task, event } of report.records) {
    if (event.type !== 'stage.checkpointed') continue;
    const key = `${namespace}:${task}:${event.stage}:${event.name}`;
    // The first one counts: an engine that forgets it would commit it again.
    committedBy.set(key, committedBy.get(key) ?? event.attempt);
  }
  return executions
    .filter(({ key, attempt }) => attempt > (committedBy.get(key) ?? Number.POSITIVE_INFINITY))
    .map(({ key, attempt }) => `${key}: attempt ${attempt} did a committed checkpoint again`);
}

function checkOutputs({ taskId, outputs }: TaskState, ledger: LedgerFacts, namespace: string): readonly string[] {
  return Object.entries(outputs).flatMap(([stage, payload]) => {
    const key = `${namespace}:${taskId}:${stage}`;
    const value =
      'json' in payload ? (payload.json as { readonly receipt?: string; readonly receipts?: string[] }) : {};
    const keys = value.receipts?.map((_, index) => `${key}:photo-${index + 1}`) ?? [key];
    const given = value.receipts ?? [value.receipt];
    return keys.flatMap((one, index) => {
      if (ledger.appliedCount(one) === 0) return [`${one} is completed, but was never applied`];
      return given[index] === Ledger.outputOf(one).receipt ? [] : [`${one} has output ${given[index]}`];
    });
  });
}
