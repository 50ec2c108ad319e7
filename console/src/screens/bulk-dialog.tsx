import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { asApiError, post, type ApiError } from '../api/http.ts';
import type { BulkAction, BulkRunView, IndexedTask } from '../api/types.ts';
import { bulkStartLine, usualPace, type BulkPace } from '../model/cli-command.ts';
import { formatFilterText, isEmptyFilter, taskFilterOf, type FilterTerms } from '../model/filter-text.ts';
import { showCount } from '../model/sizes.ts';
import { ask, type ActionNote } from '../parts/action-dialog.tsx';
import { ErrorBox } from '../parts/error-box.tsx';
import { StatusBadge } from '../parts/status-badge.tsx';

interface Started {
  readonly count: number;
  readonly sample: readonly IndexedTask[];
  readonly run: BulkRunView | null;
}

const paceFields = [
  { name: 'firstBatch', label: 'First batch', unit: 'tasks, watched before the rest', least: 1, most: 1_000 },
  { name: 'watchSeconds', label: 'Watch it', unit: 'seconds at most', least: 0, most: 3_600 },
  { name: 'ratePerSecond', label: 'Then', unit: 'tasks a second', least: 1, most: 1_000 },
  { name: 'stopAtFailurePercent', label: 'Stop at', unit: '% failures', least: 0, most: 100 },
] as const satisfies readonly { readonly name: keyof BulkPace; readonly [key: string]: unknown }[];

/** Which statuses an action can do anything to, in words. */
const meaning: Readonly<Record<BulkAction, string>> = {
  redrive:
    'Dead letters and unknown outcomes of the filter go back to work, with a fresh budget of attempts and the same keys.',
  resume: 'Held tasks of the filter go on.',
  pause: 'Tasks of the filter are held before their next start.',
  cancel:
    'Tasks of the filter that have not ended end for good. Drivers that run are aborted; what they did stays done.',
};

/** Opens the dialog of an action on many tasks. It counts first, and shows whom it would concern. */
export function askBulk(request: {
  readonly action: BulkAction;
  readonly terms: FilterTerms;
  readonly onStarted: (bulkId: string) => void;
}): void {
  const { action, terms, onStarted } = request;
  // The moment of the count is the moment of the run: `age:>1h` means the same tasks in both.
  const filter = taskFilterOf(terms, Date.now());
  const all = isEmptyFilter(terms) ? { all: true } : {};
  const dry = signal<Started | ApiError | null>(null);
  const pace = signal(usualPace);
  post<Started>('/api/bulk', { action, filter, ...all, dryRun: true }).then(
    (answer) => (dry.value = answer),
    (thrown: unknown) => (dry.value = asApiError(thrown)),
  );
  const counted = (): Started | null => (dry.value !== null && 'count' in dry.value ? dry.value : null);
  const name = `${action[0]?.toUpperCase()}${action.slice(1)}`;
  let startedId = '';
  const bodyOf = ({ reason, commandId }: ActionNote): object => {
    const { watchSeconds, ...rest } = pace.value;
    return {
      action,
      filter,
      ...all,
      bulkId: commandId,
      confirmCount: counted()?.count ?? 0,
      ...rest,
      watchMs: watchSeconds * 1_000,
      ...(reason === undefined ? {} : { reason }),
    };
  };
  ask({
    title: `${name} many tasks`,
    verb: name,
    isDangerous: action === 'cancel',
    about: (
      <>
        <p>{meaning[action]}</p>
        <p>
          Filter: <code class="wrap">{isEmptyFilter(terms) ? 'every task' : filterLabel(terms)}</code>
        </p>
      </>
    ),
    confirmWord: () => {
      const found = counted();
      return found === null ? null : `${action} ${found.count}`;
    },
    content: () => <Preview dry={dry.value} pace={pace.value} onPace={(next) => (pace.value = next)} action={action} />,
    isReady: () => (counted()?.count ?? 0) > 0,
    commandLine: ({ reason, commandId }) =>
      bulkStartLine(
        action,
        terms,
        { bulkId: commandId, pace: pace.value, count: counted()?.count ?? 0 },
        { origin: window.location.origin, reason },
      ),
    run: async (note) => {
      const { run, count } = await post<Started>('/api/bulk', bodyOf(note));
      startedId = run?.bulkId ?? note.commandId;
      return `${name} of ${showCount(count)} tasks has begun`;
    },
    onDone: () => onStarted(startedId),
  });
}

function filterLabel(terms: FilterTerms): string {
  return terms.taskIds.length > 5 ? `${terms.taskIds.length} selected tasks` : formatFilterText(terms);
}

function Preview(props: {
  readonly dry: Started | ApiError | null;
  readonly pace: BulkPace;
  readonly onPace: (pace: BulkPace) => void;
  readonly action: BulkAction;
}): JSX.Element {
  const { dry, pace, onPace, action } = props;
  if (dry === null) return <p role="status">Counting…</p>;
  if (!('count' in dry)) return <ErrorBox error={dry} />;
  const isWatched = action === 'redrive' || action === 'resume';
  return (
    <>
      <p role="status">
        <strong class="big">{showCount(dry.count)}</strong> {dry.count === 1 ? 'task' : 'tasks'} would be concerned
        {dry.count > dry.sample.length && `; the first ${dry.sample.length}:`}
      </p>
      {dry.sample.length > 0 && (
        <div class="scroll sample" tabIndex={0} role="region" aria-label="Tasks that would be concerned">
          <table>
            <thead class="hidden">
              <tr>
                <th scope="col">Task</th>
                <th scope="col">Status</th>
                <th scope="col">Stage</th>
              </tr>
            </thead>
            <tbody>
              {dry.sample.map((task) => (
                <tr key={task.taskId}>
                  <td class="clip">{task.taskId}</td>
                  <td>
                    <StatusBadge status={task.status} />
                  </td>
                  <td class="clip">{task.stage ?? '–'}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <fieldset class="pace">
        <legend>Pace</legend>
        {paceFields
          .filter(({ name }) => isWatched || name !== 'watchSeconds')
          .map(({ name, label, unit, least, most }) => (
            <label key={name}>
              <span>{label}</span>
              <input
                type="number"
                min={least}
                max={most}
                value={pace[name]}
                onInput={({ currentTarget: { valueAsNumber } }) => {
                  if (Number.isFinite(valueAsNumber)) {
                    onPace({ ...pace, [name]: Math.min(most, Math.max(least, Math.round(valueAsNumber))) });
                  }
                }}
              />
              <span class="quiet">{unit}</span>
            </label>
          ))}
      </fieldset>
    </>
  );
}
