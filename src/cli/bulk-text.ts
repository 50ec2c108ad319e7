import { stateOf, type BulkView } from './bulk-answers.ts';
import { formatInstant, formatSpan } from './duration.ts';
import { formatFields, formatTable } from './table.ts';
import type { Tone } from './terminal.ts';
import type { Drawing } from './view.ts';

/** Bulk actions as a table. */
export function bulkTable(runs: readonly BulkView[], now: number, { paint, width }: Drawing): string {
  if (runs.length === 0) return paint('dim', 'no bulk actions');
  return formatTable(
    [
      { title: 'BULK', value: ({ bulkId }) => bulkId },
      { title: 'ACTION', value: ({ action }) => action },
      { title: 'STATE', value: stateOf, tone: toneOf },
      { title: 'SENT', value: ({ sent, selected }) => `${sent}/${selected}`, align: 'right' },
      { title: 'FAILED', value: (run) => String(failedOf(run)), tone: failedTone, align: 'right' },
      { title: 'BY', value: ({ by }) => by },
      { title: 'BEGAN', value: ({ createdAt }) => `${formatSpan(now - createdAt)} ago`, align: 'right' },
      { title: 'REASON', value: ({ reason }) => reason ?? '' },
    ],
    runs,
    { paint, width },
  );
}

/** One bulk action, with what failed. */
export function bulkText(run: BulkView, { paint, width }: Drawing): string {
  const { pace, failures } = run;
  const fields = formatFields(
    [
      ['bulk', run.bulkId],
      ['action', run.action],
      ['state', stateOf(run)],
      ['tasks', `${run.selected}${run.phase === 'selecting' ? ' so far' : ''}`],
      ['sent', String(run.sent)],
      ['done', String(run.done)],
      ['skipped', String(run.skipped)],
      ['failed', String(run.failed)],
      ['failed again', String(run.failedAgain)],
      ['filter', JSON.stringify(run.filter)],
      [
        'pace',
        `first ${pace.firstBatch}, watched ${formatSpan(pace.watchMs)} at most, then ${pace.ratePerSecond} a second; ` +
          `stops over ${pace.stopAtFailurePercent} % failures`,
      ],
      ['by', run.by],
      ['reason', run.reason ?? '–'],
      ['began', formatInstant(run.createdAt)],
    ],
    paint,
  );
  if (failures.length === 0) return fields;
  const table = formatTable(
    [
      { title: 'TASK', value: ({ taskId }) => taskId },
      { title: 'CODE', value: ({ code }) => code },
      { title: 'MESSAGE', value: ({ message }) => message },
    ],
    failures,
    { paint, width },
  );
  return `${fields}\n\n${table}`;
}

/** How far it is, in one line. */
export function bulkProgress(run: BulkView): string {
  if (run.phase === 'selecting') return `${run.action} ${stateOf(run)}: ${run.selected} found so far`;
  const failed = failedOf(run);
  return `${run.action} ${stateOf(run)}: ${run.sent} of ${run.selected} sent${failed === 0 ? '' : `, ${failed} failed`}`;
}

/** Failed commands, and tasks that failed again after theirs. */
export function failedOf({ failed, failedAgain }: BulkView): number {
  return failed + failedAgain;
}

function failedTone(run: BulkView): Tone | undefined {
  return failedOf(run) > 0 ? 'bad' : undefined;
}

function toneOf({ phase, end, isPaused }: BulkView): Tone | undefined {
  if (phase === 'ended') return end === 'completed' ? 'good' : 'bad';
  return isPaused ? 'warn' : undefined;
}
