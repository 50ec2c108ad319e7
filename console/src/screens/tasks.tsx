import type { JSX } from 'preact';
import { useLocation } from 'preact-iso';
import { useEffect, useRef, useState } from 'preact/hooks';
import { get, pathWith, type ApiError } from '../api/http.ts';
import type { IndexedTask, PipelineSummary, TaskFilter, TaskSortField } from '../api/types.ts';
import { asApiError, useLive } from '../live.ts';
import {
  filterWords,
  formatFilterText,
  isEmptyFilter,
  noTerms,
  parseFilterText,
  taskFilterOf,
  withList,
  type FilterTerms,
} from '../model/filter-text.ts';
import { showCount } from '../model/sizes.ts';
import { statusNames, taskStatuses } from '../model/task-words.ts';
import { ErrorBox } from '../parts/error-box.tsx';
import { Empty, Screen } from '../parts/screen.tsx';
import { TaskGrid, type TaskOrder } from '../parts/task-grid.tsx';
import { may } from '../session.ts';
import { askBulk } from './bulk-dialog.tsx';

const pageSize = 200;
const everyMs = 2_000;
/** Most tasks that one selection can name; the API's own limit. */
const maximumSelected = 1_000;
const sortFields: readonly TaskSortField[] = ['updatedAt', 'submittedAt', 'endedAt', 'dueAt', 'taskId', 'attempt'];

interface Page {
  readonly tasks: readonly IndexedTask[];
  readonly next: string | null;
}

interface Look extends Page {
  readonly total: number;
}

/** All tasks by filter and order, and what can be done to many of them. */
export function TasksScreen(): JSX.Element {
  const { query, route } = useLocation();
  const text = query['q'] ?? '';
  const order = orderOf(query);
  const { terms, problems } = parseFilterText(text);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const key = `tasks ${text} ${order.sortBy} ${order.descending}`;
  const pages = usePages(key, terms, order);
  const { live, tasks, total } = pages;
  useEffect(() => setSelected(new Set()), [text]);

  const show = (next: { readonly q?: string; readonly order?: TaskOrder }): void => {
    const { sortBy, descending } = next.order ?? order;
    const q = next.q ?? text;
    route(
      pathWith('/tasks', {
        q: q === '' ? undefined : q,
        sort: sortBy === 'updatedAt' ? undefined : sortBy,
        order: descending ? undefined : 'up',
      }),
      true,
    );
  };

  return (
    <Screen
      title="Tasks"
      actions={
        may('operator') && (
          <BulkButtons terms={terms} selected={selected} total={total} hasProblems={problems.length > 0} />
        )
      }
    >
      <FilterBar text={text} terms={terms} problems={problems} onFilter={(q) => show({ q })} />
      <div class="list-line">
        <span role="status">
          {total === null ? 'Loading…' : `${showCount(total)} ${total === 1 ? 'task' : 'tasks'}`}
          {selected.size > 0 && `, ${selected.size} selected`}
        </span>
        {pages.isHeld && (
          <span class="quiet">
            held while you read on{' '}
            <button type="button" class="plain" onClick={pages.restart}>
              Back to the newest
            </button>
          </span>
        )}
      </div>
      {live.error !== null && <ErrorBox error={live.error} onRetry={live.refresh} />}
      {pages.error !== null && <ErrorBox error={pages.error} onRetry={pages.more} />}
      {tasks.length > 0 ? (
        <TaskGrid
          // Another list, or the same from its beginning: from the top, or its old end would ask for more at once.
          key={`${pages.round} ${text}`}
          tasks={tasks}
          total={total}
          order={order}
          selected={selected}
          canSelect={may('operator')}
          onOrder={(next) => show({ order: next })}
          onSelect={(next) => {
            if (next.size <= maximumSelected) setSelected(next);
          }}
          onEnd={pages.more}
        />
      ) : (
        live.data !== null && (
          <Empty>
            {text === '' ? (
              <>
                No task yet. <a href="/pipelines">Start one</a>
              </>
            ) : (
              <>
                No task matches.{' '}
                <button type="button" class="plain" onClick={() => show({ q: '' })}>
                  Show all
                </button>
              </>
            )}
          </Empty>
        )
      )}
    </Screen>
  );
}

function orderOf(query: Readonly<Record<string, string>>): TaskOrder {
  const sortBy = sortFields.find((field) => field === query['sort']) ?? 'updatedAt';
  return { sortBy, descending: query['order'] !== 'up' };
}

/** The first page is kept fresh. As soon as more of them are loaded they stay as they are: a list that moves cannot be read. */
function usePages(
  key: string,
  terms: FilterTerms,
  order: TaskOrder,
): {
  readonly live: ReturnType<typeof useLive<Look>>;
  readonly tasks: readonly IndexedTask[];
  readonly total: number | null;
  readonly isHeld: boolean;
  readonly error: ApiError | null;
  readonly more: () => void;
  readonly restart: () => void;
  /** Grows with each restart. */
  readonly round: number;
} {
  const [further, setFurther] = useState<{
    readonly key: string;
    readonly first: Page;
    readonly pages: readonly Page[];
  }>();
  const [error, setError] = useState<ApiError | null>(null);
  const [round, setRound] = useState(0);
  const isLoading = useRef(false);
  const held = further?.key === key ? further : undefined;
  const load = async (signal: AbortSignal): Promise<Look> => {
    const filter = taskFilterOf(terms, Date.now());
    const [page, { count }] = await Promise.all([
      get<Page>('/api/tasks', { ...filter, ...order, limit: pageSize }, signal),
      get<{ readonly count: number }>('/api/tasks/count', { ...filter }, signal),
    ]);
    return { ...page, total: count };
  };
  const live = useLive({ key, everyMs, load, isPaused: held !== undefined });
  const first = held?.first ?? live.data;
  const loaded = first === null || first === undefined ? [] : [first, ...(held?.pages ?? [])];
  const next = loaded.at(-1)?.next ?? null;
  const more = (): void => {
    if (next === null || isLoading.current || first === null || first === undefined) return;
    isLoading.current = true;
    setError(null);
    const filter: TaskFilter = taskFilterOf(terms, Date.now());
    get<Page>('/api/tasks', { ...filter, ...order, limit: pageSize, cursor: next })
      .then((page) => setFurther({ key, first, pages: [...(held?.pages ?? []), page] }))
      .catch((thrown: unknown) => setError(asApiError(thrown)))
      .finally(() => (isLoading.current = false));
  };
  return {
    live,
    tasks: loaded.flatMap((page) => page.tasks),
    total: live.data?.total ?? null,
    isHeld: held !== undefined,
    error,
    more,
    restart: () => {
      setFurther(undefined);
      setRound((before) => before + 1);
    },
    round,
  };
}

function FilterBar(props: {
  readonly text: string;
  readonly terms: FilterTerms;
  readonly problems: readonly string[];
  readonly onFilter: (text: string) => void;
}): JSX.Element {
  const { text, terms, problems, onFilter } = props;
  const [draft, setDraft] = useState(text);
  const input = useRef<HTMLInputElement>(null);
  const pipelines = useLive({
    key: 'filter pipelines',
    everyMs: 30_000,
    load: (signal) => get<{ readonly pipelines: readonly PipelineSummary[] }>('/api/pipelines', {}, signal),
  });
  useEffect(() => setDraft(text), [text]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const isTyping =
        event.target instanceof Element && event.target.closest('input, textarea, select, dialog') !== null;
      if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      input.current?.focus();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
  const names = [...new Set((pipelines.data?.pipelines ?? []).map(({ name }) => name))];
  const toggle = (status: (typeof taskStatuses)[number]): void => {
    const statuses = terms.statuses.includes(status)
      ? terms.statuses.filter((one) => one !== status)
      : [...terms.statuses, status];
    onFilter(formatFilterText(withList(terms, 'statuses', statuses)));
  };
  return (
    <search class="filter">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onFilter(draft.trim());
        }}
      >
        <label class="grow">
          <span class="hidden">Filter</span>
          <input
            ref={input}
            type="search"
            value={draft}
            spellcheck={false}
            placeholder={`status:failed stage:photos age:>1h card-   ( / )`}
            aria-describedby="filter-words"
            aria-invalid={problems.length > 0}
            onInput={(event) => setDraft(event.currentTarget.value)}
          />
        </label>
        <label class="inline">
          <span class="hidden">Pipeline</span>
          <select
            value={terms.pipelines[0] ?? ''}
            onChange={({ currentTarget: { value } }) =>
              onFilter(formatFilterText(withList(terms, 'pipelines', value === '' ? [] : [value])))
            }
          >
            <option value="">Every pipeline</option>
            {names.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <button type="submit">Filter</button>
        {!isEmptyFilter(terms) && (
          <button type="button" onClick={() => onFilter(formatFilterText(noTerms))}>
            Clear
          </button>
        )}
      </form>
      <div class="chips" role="group" aria-label="Statuses">
        {taskStatuses.map((status) => (
          <button
            key={status}
            type="button"
            class={`chip status-${status}`}
            aria-pressed={terms.statuses.includes(status)}
            onClick={() => toggle(status)}
          >
            {statusNames[status]}
          </button>
        ))}
      </div>
      <p class="hidden" id="filter-words">
        Words: {filterWords.map((word) => `${word}:`).join(' ')} or the beginning of task ids
      </p>
      {problems.length > 0 && (
        <ul class="problems" role="alert">
          {problems.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      )}
    </search>
  );
}

function BulkButtons(props: {
  readonly terms: FilterTerms;
  readonly selected: ReadonlySet<string>;
  readonly total: number | null;
  readonly hasProblems: boolean;
}): JSX.Element {
  const { terms, selected, total, hasProblems } = props;
  const { route } = useLocation();
  const meant: FilterTerms = selected.size > 0 ? { ...noTerms, taskIds: [...selected] } : terms;
  const isPossible = !hasProblems && (selected.size > 0 || (total ?? 0) > 0);
  const whom = selected.size > 0 ? `${selected.size} selected` : isEmptyFilter(terms) ? 'all' : 'all that match';
  return (
    <div class="buttons" role="group" aria-label={`Do to ${whom}`}>
      <span class="quiet">{whom}:</span>
      {(['redrive', 'resume', 'pause', 'cancel'] as const).map((action) => (
        <button
          key={action}
          type="button"
          disabled={!isPossible}
          onClick={() => askBulk({ action, terms: meant, onStarted: (bulkId) => route(`/bulk/${bulkId}`) })}
        >
          {`${action[0]?.toUpperCase()}${action.slice(1)}…`}
        </button>
      ))}
    </div>
  );
}
