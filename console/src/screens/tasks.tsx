import type { JSX } from 'preact';
import { useLocation } from 'preact-iso';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { asApiError, get, pathWith, type ApiError } from '../api/http.ts';
import type { PipelineSummary, TaskFilter, TaskSortField } from '../api/types.ts';
import { useLive } from '../live.ts';
import { tasksTopic } from '../live/topics.ts';
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
import {
  beginWindow,
  keptAround,
  missingPage,
  withChanged,
  withNextPage,
  withPageAgain,
  type PageWindow,
  type TaskPage,
} from '../model/page-window.ts';
import { showCount } from '../model/sizes.ts';
import { withChanges, type TaskOrder } from '../model/task-order.ts';
import { statusNames, taskStatuses } from '../model/task-words.ts';
import { ErrorBox } from '../parts/error-box.tsx';
import { Empty, Screen } from '../parts/screen.tsx';
import { TaskGrid } from '../parts/task-grid.tsx';
import { may } from '../session.ts';
import { askBulk } from './bulk-dialog.tsx';

const pageSize = 200;
const furtherPageSize = 500;
/** Rows before the end of what is loaded at which more of them are. */
const loadAheadRows = 60;
const everyMs = 2_000;
const agesEveryMs = 5_000;
/** Most tasks that one selection can name; the API's own limit. */
const maximumSelected = 1_000;
const sortFields: readonly TaskSortField[] = ['updatedAt', 'submittedAt', 'endedAt', 'dueAt', 'taskId', 'attempt'];

interface Look extends TaskPage {
  readonly total: number;
}

const noPage: TaskPage = { tasks: [], next: null };

/** All tasks by filter and order, and what can be done to many of them. */
export function TasksScreen(): JSX.Element {
  const { query, route } = useLocation();
  const text = query['q'] ?? '';
  const order = orderOf(query);
  const { terms, problems } = parseFilterText(text);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const key = `tasks ${text} ${order.sortBy} ${order.descending}`;
  const pages = useTaskRows(key, terms, order);
  const { live, rows, total } = pages;
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
      {pages.error !== null && <ErrorBox error={pages.error} onRetry={pages.retry} />}
      {rows !== null && rows.count > 0 ? (
        <TaskGrid
          // Another list, or the same from its beginning: from the top, or its old end would ask for more at once.
          key={`${pages.round} ${text}`}
          rows={rows}
          total={total}
          order={order}
          selected={selected}
          canSelect={may('operator')}
          onOrder={(next) => show({ order: next })}
          onSelect={(next) => {
            if (next.size <= maximumSelected) setSelected(next);
          }}
          onSight={pages.onSight}
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

/** A list that somebody reads on in: it stays as it is, but for tasks that change where they stand. */
interface Held {
  readonly key: string;
  readonly filter: TaskFilter;
  readonly rows: PageWindow;
}

interface TaskRows {
  readonly live: ReturnType<typeof useLive<Look>>;
  /** Null before the first page. */
  readonly rows: PageWindow | null;
  readonly total: number | null;
  readonly isHeld: boolean;
  readonly error: ApiError | null;
  /** These rows are in sight: what they need is loaded, and what is far from them let go. */
  readonly onSight: (first: number, last: number) => void;
  readonly retry: () => void;
  readonly restart: () => void;
  /** Grows with each restart. */
  readonly round: number;
}

/** The first page is kept fresh. As soon as more of them are loaded they stay where they are: a list that moves cannot be read. */
function useTaskRows(key: string, terms: FilterTerms, order: TaskOrder): TaskRows {
  const [held, setHeld] = useState<Held | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [round, setRound] = useState(0);
  const current = held?.key === key ? held : null;
  const newest = useRef(current);
  newest.current = current;
  const newestKey = useRef(key);
  newestKey.current = key;
  const firstPage = useRef<TaskPage>(noPage);
  const sight = useRef<readonly [number, number]>([0, 0]);
  const isLoading = useRef(false);

  const live = useLive<Look>({
    key,
    everyMs,
    load: async (signal) => {
      const filter = newest.current?.filter ?? taskFilterOf(terms, Date.now());
      const [page, { count }] = await Promise.all([
        // The first page of a list that is held is not wanted now; how many match is.
        newest.current === null
          ? get<TaskPage>('/api/tasks', { ...filter, ...order, limit: pageSize }, signal)
          : firstPage.current,
        get<{ readonly count: number }>('/api/tasks/count', { ...filter }, signal),
      ]);
      firstPage.current = page;
      return { ...page, total: count };
    },
    topic: {
      ...tasksTopic<Look>(taskFilterOf(terms, Date.now()), (changes, before) => {
        setHeld((known) => known && { ...known, rows: withChanged(known.rows, changes.changed) });
        return withChanges(before, changes, order);
      }),
      // What is meant by an age changes with the time.
      refreshMs: terms.age.length + terms.idle.length > 0 ? agesEveryMs : undefined,
    },
  });
  const first = useMemo(() => (live.data === null ? null : beginWindow(live.data)), [live.data]);
  const rows = current?.rows ?? first;

  const more = (): void => {
    if (rows === null || isLoading.current) return;
    const [from, to] = sight.current;
    const missing = missingPage(rows, from, to);
    if (missing === null && (rows.next === null || to < rows.count - loadAheadRows)) return;
    const filter = current?.filter ?? taskFilterOf(terms, Date.now());
    const cursor = missing === null ? rows.next : rows.pages[missing]?.cursor;
    // A page is as long as it was when it was first read; the others are long, as many of them may be needed.
    const limit = missing === null ? furtherPageSize : (rows.pages[missing]?.count ?? furtherPageSize);
    const take = (page: TaskPage): void => {
      if (newestKey.current !== key) return;
      const base = newest.current?.rows ?? rows;
      const grown = missing === null ? withNextPage(base, page) : withPageAgain(base, missing, page.tasks);
      const [top, bottom] = sight.current;
      setHeld({ key, filter, rows: keptAround(grown, top, bottom) });
    };
    isLoading.current = true;
    setError(null);
    get<TaskPage>('/api/tasks', { ...filter, ...order, limit, cursor: cursor ?? undefined })
      .then(take)
      .catch((thrown: unknown) => setError(asApiError(thrown)))
      .finally(() => (isLoading.current = false));
  };
  // What was in sight when a page came may need the next one.
  useEffect(() => {
    if (error === null) more();
  }, [current?.rows]);

  return {
    live,
    rows,
    total: live.data?.total ?? null,
    isHeld: current !== null,
    error,
    onSight: (from, to) => {
      sight.current = [from, to];
      if (error === null) more();
    },
    retry: more,
    restart: () => {
      newest.current = null;
      setHeld(null);
      setRound((before) => before + 1);
      live.refresh();
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
