import type { JSX } from 'preact';
import { elementScroll, observeElementOffset, observeElementRect, Virtualizer } from '@tanstack/virtual-core';
import { useLocation } from 'preact-iso';
import { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks';
import type { IndexedTask, TaskSortField } from '../api/types.ts';
import { rowAt, type PageWindow } from '../model/page-window.ts';
import type { TaskOrder } from '../model/task-order.ts';
import { StatusBadge } from './status-badge.tsx';
import { Ago } from './time.tsx';

const rowHeight = 30;
const columns: readonly { readonly label: string; readonly sort: TaskSortField | null; readonly class: string }[] = [
  { label: 'Task', sort: 'taskId', class: 'task-id' },
  { label: 'Status', sort: null, class: 'task-status' },
  { label: 'Pipeline', sort: null, class: 'task-pipeline' },
  { label: 'Stage', sort: null, class: 'task-stage' },
  { label: 'Attempt', sort: 'attempt', class: 'task-attempt number' },
  { label: 'Submitted', sort: 'submittedAt', class: 'task-time' },
  { label: 'Changed', sort: 'updatedAt', class: 'task-time' },
  { label: 'Last failure', sort: null, class: 'task-failure' },
];

/**
 * Tasks as a grid of which only the rows in sight are drawn. Arrow keys move, Enter opens, Space selects, Home and End go to the ends
 * of what is loaded.
 */
export function TaskGrid(props: {
  readonly rows: PageWindow;
  /** Of all that match; null: not known. */
  readonly total: number | null;
  readonly order: TaskOrder;
  readonly selected: ReadonlySet<string>;
  readonly canSelect: boolean;
  readonly onOrder: (order: TaskOrder) => void;
  readonly onSelect: (selected: ReadonlySet<string>) => void;
  /** These rows are drawn. */
  readonly onSight: (first: number, last: number) => void;
}): JSX.Element {
  const { rows, total, order, selected, canSelect, onOrder, onSelect, onSight } = props;
  const { route } = useLocation();
  const scroller = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(0);
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const mustFocus = useRef(false);
  const virtualizer = useMemo(
    () =>
      new Virtualizer<HTMLDivElement, HTMLDivElement>({
        count: 0,
        getScrollElement: () => scroller.current,
        estimateSize: () => rowHeight,
        overscan: 12,
        observeElementRect,
        observeElementOffset,
        scrollToFn: elementScroll,
        onChange: () => redraw(undefined),
      }),
    [],
  );
  virtualizer.setOptions({ ...virtualizer.options, count: rows.count });
  useLayoutEffect(() => virtualizer['_didMount'](), [virtualizer]);
  useLayoutEffect(() => virtualizer['_willUpdate']());

  useEffect(() => scroller.current?.scrollTo(0, 0), [order.sortBy, order.descending]);

  const items = virtualizer.getVirtualItems();
  const [firstDrawn, lastDrawn] = [items[0]?.index ?? 0, items.at(-1)?.index ?? 0];
  useEffect(() => onSight(firstDrawn, lastDrawn), [firstDrawn, lastDrawn, rows.count]);

  const position = Math.min(active, Math.max(0, rows.count - 1));
  useLayoutEffect(() => {
    if (!mustFocus.current) return;
    const row = scroller.current?.querySelector<HTMLElement>(`[data-index="${position}"]`);
    if (row === null || row === undefined) return;
    mustFocus.current = false;
    row.focus({ preventScroll: true });
  });

  const go = (to: number): void => {
    const next = Math.max(0, Math.min(rows.count - 1, to));
    mustFocus.current = true;
    setActive(next);
    virtualizer.scrollToIndex(next, { align: 'auto' });
    redraw(undefined);
  };
  const toggle = (taskId: string): void => {
    const next = new Set(selected);
    if (!next.delete(taskId)) next.add(taskId);
    onSelect(next);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const pageRows = Math.max(1, Math.floor((scroller.current?.clientHeight ?? rowHeight) / rowHeight) - 2);
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: position + 1,
      ArrowUp: position - 1,
      PageDown: position + pageRows,
      PageUp: position - pageRows,
      Home: 0,
      End: rows.count - 1,
    };
    const to = steps[event.key];
    const task = rowAt(rows, position);
    if (to !== undefined) go(to);
    else if (event.key === 'Enter' && task !== undefined) route(`/tasks/${task.taskId}`);
    else if (event.key === ' ' && task !== undefined && canSelect) toggle(task.taskId);
    else return;
    event.preventDefault();
  };

  return (
    <div class="grid-frame">
      <div
        class="grid"
        role="grid"
        aria-label="Tasks"
        aria-rowcount={(total ?? rows.count) + 1}
        aria-colcount={columns.length + 1}
        aria-multiselectable={canSelect}
        ref={scroller}
        // Scrolled by its rows, which take the keys; an empty one takes none.
        tabIndex={-1}
      >
        <div class="grid-row grid-head" role="row" aria-rowindex={1}>
          <span class="task-check" role="columnheader">
            <span class="hidden">Selected</span>
          </span>
          {columns.map(({ label, sort, class: name }) => (
            <span
              key={label}
              class={name}
              role="columnheader"
              aria-sort={sort !== order.sortBy ? undefined : order.descending ? 'descending' : 'ascending'}
            >
              {sort === null ? (
                label
              ) : (
                <button
                  type="button"
                  class="sort"
                  onClick={() =>
                    onOrder({ sortBy: sort, descending: sort === order.sortBy ? !order.descending : sort !== 'taskId' })
                  }
                >
                  {label}
                  {sort === order.sortBy && <span aria-hidden="true">{order.descending ? ' ↓' : ' ↑'}</span>}
                </button>
              )}
            </span>
          ))}
        </div>
        <div class="grid-body" role="rowgroup" style={{ height: `${virtualizer.getTotalSize()}px` }}>
          {items.map(({ index, start }) => {
            const task = rowAt(rows, index);
            const isSelected = task !== undefined && selected.has(task.taskId);
            return (
              <div
                key={index}
                class={`grid-row ${isSelected ? 'is-selected' : ''}`}
                role="row"
                aria-rowindex={index + 2}
                aria-selected={canSelect ? isSelected : undefined}
                data-index={index}
                tabIndex={index === position ? 0 : -1}
                style={{ transform: `translateY(${start}px)` }}
                onFocus={() => setActive(index)}
                onKeyDown={onKeyDown}
                onClick={(event) => {
                  const isOwn = (event.target as Element).closest('a, input, label') === null;
                  if (isOwn && task !== undefined) route(`/tasks/${task.taskId}`);
                }}
              >
                <span class="task-check" role="gridcell">
                  {canSelect && task !== undefined && (
                    <input
                      type="checkbox"
                      tabIndex={-1}
                      checked={isSelected}
                      aria-label={`Select ${task.taskId}`}
                      onChange={() => toggle(task.taskId)}
                    />
                  )}
                </span>
                {task === undefined ? (
                  <span class="task-id quiet" role="gridcell">
                    …
                  </span>
                ) : (
                  <TaskCells task={task} />
                )}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

function TaskCells({ task }: { readonly task: IndexedTask }): JSX.Element {
  const { taskId, status, pipeline, version, stage, attempt, submittedAt, updatedAt, failure } = task;
  return (
    <>
      <span class="task-id clip" role="gridcell">
        <a href={`/tasks/${taskId}`} tabIndex={-1} title={taskId}>
          {taskId}
        </a>
      </span>
      <span class="task-status" role="gridcell">
        <StatusBadge status={status} />
      </span>
      <span class="task-pipeline clip" role="gridcell">
        {pipeline} <span class="quiet">v{version}</span>
      </span>
      <span class="task-stage clip" role="gridcell">
        {stage ?? <span class="quiet">–</span>}
      </span>
      <span class="task-attempt number" role="gridcell">
        {attempt === 0 ? <span class="quiet">–</span> : attempt}
      </span>
      <span class="task-time" role="gridcell">
        <Ago at={submittedAt} />
      </span>
      <span class="task-time" role="gridcell">
        <Ago at={updatedAt} />
      </span>
      <span class="task-failure clip" role="gridcell" title={failure?.message}>
        {failure !== null && (
          <>
            <code>{failure.code ?? failure.class}</code> {failure.message}
          </>
        )}
      </span>
    </>
  );
}
