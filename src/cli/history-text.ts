import type { TaskEvent } from '../core/records.ts';
import type { PipelineEvent } from '../projections/cloud-event.ts';
import type { HistoryRecord, TaskHistory } from '../projections/task-history.ts';
import { oneLine } from './cli-error.ts';
import { formatInstant, formatSpan } from './duration.ts';
import { formatTable, type Column } from './table.ts';
import type { Paint, Tone } from './terminal.ts';
import type { Drawing } from './view.ts';

/** A task's records as a table. */
export function historyTable(history: TaskHistory, { paint, width }: Drawing): string {
  const columns: readonly Column<HistoryRecord>[] = [
    { title: 'SEQ', value: ({ record }) => String(record.seq), align: 'right' },
    { title: 'AT', value: ({ record }) => formatInstant(record.at) },
    { title: 'EVENT', value: ({ record }) => record.event.type, tone: ({ record }) => recordTone(record.event) },
    { title: 'STATE AFTER', value: ({ record }) => record.to },
    { title: 'DETAIL', value: ({ record }) => describeRecord(record.event) },
  ];
  return formatTable(columns, history.records, { paint, width });
}

/** What a record says beside its type. */
export function describeRecord(event: TaskEvent): string {
  switch (event.type) {
    case 'task.submitted':
      return [`${event.pipeline}@${event.version}`, ...describeSkips(event.skipped), ...describeOrigin(event)].join(
        ', ',
      );
    case 'stage.started':
      return `${event.stage} attempt ${event.attempt}`;
    case 'stage.checkpointed':
      return `${event.stage} attempt ${event.attempt}: ${event.name}`;
    case 'stage.completed':
      return [`${event.stage} attempt ${event.attempt}`, ...describeSkips(event.skipped)].join(', ');
    case 'stage.failed': {
      const { failure, decision } = event;
      const next =
        decision.kind === 'retry' ? `again in ${formatSpan(decision.delayMs)}` : `dead-lettered: ${decision.reason}`;
      return `${event.stage} attempt ${event.attempt}, ${next}: ${failure.class} ${failure.code} ${failure.message}`;
    }
    case 'retry.due':
      return event.start ? 'starts' : 'queues';
    case 'task.paused':
    case 'task.resumed':
    case 'task.canceled':
    case 'task.redriven':
      return describeOrigin(event).join(', ');
    case 'outcome.resolved':
      return [`${event.resolution.kind}, by ${event.by}`, ...describeOrigin(event)].join(', ');
    case 'stage.released':
      return `${event.stage} attempt ${event.attempt}, handed over: ${event.decision.kind}`;
    case 'stage.cleared':
      return `${event.stage} attempt ${event.attempt}, probation passed`;
    case 'owner.changed':
      return `owner lost, epoch ${event.epoch}: ${event.decision.kind}`;
    case 'task.quarantined':
      return `${event.failure.class} ${event.failure.code} ${event.failure.message}`;
    default:
      // A newer engine may write more: its record is shown by its type alone.
      return '';
  }
}

/** One event as a line for people. */
export function eventLine(event: PipelineEvent, paint: Paint): string {
  const { type, time, data } = event;
  const name = type.slice('io.cabinet.'.length);
  const details = Object.entries(data)
    .filter(([key]) => !hiddenFields.has(key))
    .map(([key, value]) => `${key}=${describeValue(value)}`);
  const tone = eventTone(name);
  const painted = tone === undefined ? name : paint(tone, name);
  return `${paint('dim', time)}  ${painted}  ${oneLine(details.join(' '))}`.trimEnd();
}

/** In every event, or told by its type. */
const hiddenFields: ReadonlySet<string> = new Set([
  'pipeline',
  'version',
  'seq',
  'epoch',
  'inputHash',
  'input',
  'origin',
]);

function describeValue(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const { class: failureClass, code, message } = value as { class?: unknown; code?: unknown; message?: unknown };
  if (typeof failureClass === 'string') return `${failureClass} ${String(code)} ${JSON.stringify(message)}`;
  const { kind, sizeBytes } = value as { kind?: unknown; sizeBytes?: unknown };
  return typeof sizeBytes === 'number' ? `${String(kind)} ${sizeBytes} bytes` : JSON.stringify(value);
}

function eventTone(name: string): Tone | undefined {
  if (name === 'task.completed' || name === 'stage.completed') return 'good';
  if (/failed|dead-lettered|quarantined|unknown/.test(name)) return 'bad';
  if (/retry|interrupted|paused|canceled|skipped/.test(name)) return 'warn';
  return undefined;
}

function recordTone(event: TaskEvent): Tone | undefined {
  if (event.type === 'stage.failed' || event.type === 'task.quarantined') return 'bad';
  return event.type === 'stage.completed' ? 'good' : undefined;
}

function describeSkips(skipped: readonly { readonly stage: string; readonly reason: string }[]): readonly string[] {
  return skipped.map(({ stage, reason }) => `skips ${stage} (${reason})`);
}

function describeOrigin(event: {
  readonly origin?: { readonly by?: string; readonly reason?: string };
}): readonly string[] {
  const { by, reason } = event.origin ?? {};
  return [...(by === undefined ? [] : [`by ${by}`]), ...(reason === undefined ? [] : [reason])];
}
