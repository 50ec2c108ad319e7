import type { TaskFilter, TaskListQuery, TaskSortField } from '../ports/task-index.ts';
import type { FacetSelection } from './task-facets.ts';
import type { TaskCursor } from './task-query.ts';

/** A piece of SQL with its parameters. */
export interface SqlPiece {
  readonly sql: string;
  readonly parameters: readonly (string | number)[];
}

/** The columns that a filter narrows. */
type FilterColumn = 'facet' | 'taskId' | 'updatedAt' | 'submittedAt';

/** What must hold of one column. `count`: how many tasks it leaves, when that is known. */
interface Condition {
  readonly column: FilterColumn;
  /** With `§` for the column. */
  readonly sql: string;
  readonly parameters: readonly (string | number)[];
  readonly count: number | null;
}

/** What a filter asks of the columns; `taskCount` tasks are there in all. */
export interface FilterConditions {
  readonly conditions: readonly Condition[];
  readonly taskCount: number;
}

/** Ids are of this alphabet, so nothing else needs to be looked for, or goes into the database. */
const idText = /^[A-Za-z0-9_-]*$/;
/** Behind every character of an id. */
const behindIds = '\u007f';
/** Above this a range is held to be wide; it bounds the time that counting takes. */
const maximumCountedRange = 200_000;
/** Facets that may be read side by side, each in its order. */
const maximumMergedFacets = 64;

// What looking at one task costs, in the same unit: within an index alone, along the table, and from an index into the table.
const cost = { indexOnly: 0.3, table: 1, lookup: 2.5 } as const;

/** The filter as conditions, or null when nothing can hold. @param countUpTo - counts what a piece leaves, up to a limit */
export function conditionsOf(
  filter: TaskFilter,
  facets: FacetSelection,
  taskCount: number,
  countUpTo: (where: SqlPiece, index: string, limit: number) => number,
): FilterConditions | null {
  if (facets.taskCount === 0) return null;
  const conditions: Condition[] = [];
  if (!facets.isAll) {
    const ids = JSON.stringify(facets.facets.map(({ id }) => id));
    conditions.push({ column: 'facet', sql: inJson, parameters: [ids], count: facets.taskCount });
  }
  if (filter.taskIds !== undefined) {
    const ids = filter.taskIds.filter((id) => idText.test(id));
    if (ids.length === 0) return null;
    conditions.push({ column: 'taskId', sql: inJson, parameters: [JSON.stringify(ids)], count: ids.length });
  }
  const { taskIdPrefix: prefix = '' } = filter;
  if (!idText.test(prefix)) return null;
  const ranges = [
    rangeOf('taskId', prefix === '' ? undefined : prefix, prefix === '' ? undefined : prefix + behindIds),
    rangeOf('updatedAt', filter.updatedFrom, filter.updatedBefore),
    rangeOf('submittedAt', filter.submittedFrom, filter.submittedBefore),
  ];
  for (const range of ranges) {
    if (range === null) continue;
    const count = countUpTo(render(range, false), indexOf[range.column], maximumCountedRange + 1);
    if (count === 0) return null;
    conditions.push({ ...range, count: count > maximumCountedRange ? null : count });
  }
  return { conditions, taskCount };
}

const inJson = '§ IN (SELECT value FROM json_each(?))';

function rangeOf(
  column: Exclude<FilterColumn, 'facet'>,
  from: string | number | undefined,
  before: string | number | undefined,
): Omit<Condition, 'count'> | null {
  const parts: string[] = [];
  const parameters: (string | number)[] = [];
  if (from !== undefined) {
    parts.push('§ >= ?');
    parameters.push(from);
  }
  if (before !== undefined) {
    parts.push('§ < ?');
    parameters.push(before);
  }
  return parts.length === 0 ? null : { column, sql: parts.join(' AND '), parameters };
}

/** `INDEXED BY` of each column; without one the table itself is in order. */
const indexOf: Readonly<Record<FilterColumn | TaskSortField, string>> = {
  taskId: 'NOT INDEXED',
  facet: 'INDEXED BY task_facet',
  updatedAt: 'INDEXED BY task_updatedAt',
  submittedAt: 'INDEXED BY task_submittedAt',
  endedAt: 'INDEXED BY task_endedAt',
  dueAt: 'INDEXED BY task_dueAt',
  attempt: 'INDEXED BY task_attempt',
};

/** @param isChecked - only checked of tasks that were found by another condition; a sign keeps the database from using it */
function render(condition: Omit<Condition, 'count'>, isChecked: boolean): SqlPiece {
  const column = isChecked ? `+${condition.column}` : condition.column;
  return { sql: `(${condition.sql.replaceAll('§', column)})`, parameters: condition.parameters };
}

/** A part of a list within which all tasks have the sort's value, or none of them has one. */
export interface Segment {
  readonly sortBy: TaskSortField;
  readonly descending: boolean;
  /** Whether the tasks have the value; if not, they are in the order of their ids. */
  readonly hasValue: boolean;
  /** Begin behind this task. */
  readonly after: TaskCursor | null;
  /** Tasks to find at most. */
  readonly wanted: number;
}

/** The segments of a list from its cursor on, in order. */
export function segmentsOf(query: TaskListQuery, cursor: TaskCursor | null): readonly Omit<Segment, 'wanted'>[] {
  const { sortBy, descending } = query;
  if (sortBy !== 'endedAt' && sortBy !== 'dueAt') return [{ sortBy, descending, hasValue: true, after: cursor }];
  const without = { sortBy, descending, hasValue: false };
  if (cursor !== null && cursor.value === null) return [{ ...without, after: cursor }];
  return [
    { sortBy, descending, hasValue: true, after: cursor },
    { ...without, after: null },
  ];
}

/**
 * How to find a segment's ids.
 *
 * - `one`: by a statement
 * - `tried`: by one that gives up after so many tasks; if it found too few, by the other one
 * - `merge`: by a statement a facet, whose answers are merged by `updatedAt`
 */
export type SegmentPlan =
  | { readonly kind: 'one'; readonly statement: SqlPiece }
  | { readonly kind: 'tried'; readonly statement: SqlPiece; readonly otherwise: SqlPiece }
  | { readonly kind: 'merge'; readonly statements: readonly SqlPiece[] };

/**
 * The cheapest way to a segment's ids.
 *
 * Walking the sort's index reads the more the fewer tasks match; gathering what one condition leaves and sorting it reads the more
 * the more match. As the facets' counts are exact, the better of the two reads some ten thousand tasks of a million at most. A walk
 * is only estimated, though: the matches may all lie at the far end of the order. So it gives up after some times the estimate.
 */
export function planSegment(segment: Segment, filter: FilterConditions, facets: FacetSelection): SegmentPlan {
  const walked: FilterColumn | TaskSortField = segment.hasValue ? segment.sortBy : 'taskId';
  const walk = walkOf(segment, walked, filter);
  const gathered = filter.conditions
    .filter(({ column }) => column !== walked)
    .flatMap(({ column, count }) =>
      count === null ? [] : [{ column, cost: count * (column === 'taskId' ? cost.table : cost.lookup) }],
    )
    .toSorted((a, b) => a.cost - b.cost)[0];
  const isMergeable =
    walked === 'updatedAt' &&
    !facets.isAll &&
    facets.facets.length <= maximumMergedFacets &&
    filter.conditions.every(({ column }) => column === 'facet' || column === 'updatedAt');
  const mergeCost = facets.facets.length * segment.wanted * cost.indexOnly;
  if (isMergeable && mergeCost < Math.min(walk.cost * walkDoubt, gathered?.cost ?? Infinity)) {
    return { kind: 'merge', statements: facets.facets.map(({ id }) => mergedStatement(segment, filter, id)) };
  }
  const walking = statementOf(segment, filter.conditions, walked);
  if (gathered === undefined) return { kind: 'one', statement: walking };
  const gathering = statementOf(segment, filter.conditions, gathered.column);
  if (gathered.cost <= walk.cost) return { kind: 'one', statement: gathering };
  const limit = Math.ceil(Math.max(leastTried, walk.visited * walkDoubt));
  if (limit >= walk.walkable) return { kind: 'one', statement: walking };
  return { kind: 'tried', statement: triedStatement(segment, filter.conditions, walked, limit), otherwise: gathering };
}

/** How many times more than estimated a walk may visit. */
const walkDoubt = 6;
/** Tasks that a walk may visit in any case. */
const leastTried = 2_000;

interface Walk {
  readonly cost: number;
  readonly visited: number;
  /** Tasks that it can visit at most. */
  readonly walkable: number;
}

function walkOf(segment: Segment, walked: FilterColumn | TaskSortField, filter: FilterConditions): Walk {
  const { conditions, taskCount } = filter;
  const within = conditions.filter(({ column }) => column === walked);
  const beside = conditions.filter(({ column }) => column !== walked);
  const walkable = within.reduce((least, { count }) => Math.min(least, count ?? taskCount), taskCount);
  const share = beside.reduce((product, { count }) => product * ((count ?? taskCount) / taskCount), 1);
  const visited = Math.min(walkable, segment.wanted / Math.max(share, 1 / taskCount));
  const isCovered = walked === 'updatedAt' && beside.every(({ column }) => column === 'facet');
  const each = isCovered || beside.length === 0 ? cost.indexOnly : walked === 'taskId' ? cost.table : cost.lookup;
  return { cost: visited * each, visited, walkable };
}

function mergedStatement(segment: Segment, filter: FilterConditions, facetId: number): SqlPiece {
  const own: Condition = { column: 'facet', sql: '§ = ?', parameters: [facetId], count: null };
  const conditions = [own, ...filter.conditions.filter(({ column }) => column !== 'facet')];
  return statementOf(segment, conditions, 'facet', ['facet', 'updatedAt']);
}

/** A walk that looks at so many tasks and no more. Its inner part is in order, and the outer one keeps that order. */
function triedStatement(
  segment: Segment,
  conditions: readonly Condition[],
  walked: FilterColumn | TaskSortField,
  limit: number,
): SqlPiece {
  const used = conditions.filter(({ column }) => column === walked);
  const checked = conditions.filter(({ column }) => column !== walked).map((condition) => render(condition, false));
  const inner = statementOf({ ...segment, wanted: limit }, used, walked, [walked], [...filterColumns]);
  return {
    sql: `SELECT taskId, ${sortColumnOf(segment)} FROM (${inner.sql}) ${whereOf(checked)} LIMIT ${segment.wanted}`,
    parameters: [...inner.parameters, ...checked.flatMap(({ parameters }) => parameters)],
  };
}

const filterColumns: readonly FilterColumn[] = ['facet', 'taskId', 'updatedAt', 'submittedAt'];

/** @param driving - the column whose index finds the tasks */
function statementOf(
  segment: Segment,
  conditions: readonly Condition[],
  driving: FilterColumn | TaskSortField,
  usable: readonly string[] = [driving],
  extraColumns: readonly string[] = [],
): SqlPiece {
  const { sortBy, descending, hasValue, after, wanted } = segment;
  const pieces = conditions.map((condition) => render(condition, !usable.includes(condition.column)));
  const isNullable = sortBy === 'endedAt' || sortBy === 'dueAt';
  if (isNullable) pieces.push({ sql: `${sortBy} IS ${hasValue ? 'NOT NULL' : 'NULL'}`, parameters: [] });
  const isById = sortBy === 'taskId' || !hasValue;
  const sign = usable.includes(isById ? 'taskId' : sortBy) ? '' : '+';
  const keys = isById ? [`${sign}taskId`] : [`${sign}${sortBy}`, `${sign}taskId`];
  if (after !== null) {
    const places = keys.map(() => '?').join(', ');
    pieces.push({
      sql: `(${keys.join(', ')}) ${descending ? '<' : '>'} (${places})`,
      parameters: isById ? [after.taskId] : [after.value ?? 0, after.taskId],
    });
  }
  const direction = descending ? 'DESC' : 'ASC';
  const order = keys.map((key) => `${key} ${direction}`).join(', ');
  const columns = [...new Set(['taskId', sortColumnOf(segment), ...extraColumns])].join(', ');
  return {
    sql: `SELECT ${columns} FROM task ${indexOf[driving]} ${whereOf(pieces)} ORDER BY ${order} LIMIT ${wanted}`,
    parameters: pieces.flatMap(({ parameters }) => parameters),
  };
}

function sortColumnOf({ sortBy, hasValue }: Segment): string {
  return sortBy === 'taskId' || !hasValue ? 'NULL' : sortBy;
}

/** Counts what a filter leaves, facet by facet. */
export function countStatement(filter: FilterConditions): SqlPiece {
  // The index of facets has `updatedAt` behind each facet, so that both conditions count within it.
  const others = filter.conditions.filter(({ column }) => column === 'taskId' || column === 'submittedAt');
  const selective = others.reduce<Condition | null>(
    (best, condition) => (condition.count !== null && condition.count < (best?.count ?? Infinity) ? condition : best),
    null,
  );
  const facetCount = filter.conditions.find(({ column }) => column === 'facet')?.count ?? filter.taskCount;
  const driving = selective === null || (selective.count ?? 0) > facetCount ? 'facet' : selective.column;
  const usable: readonly string[] = driving === 'facet' ? ['facet', 'updatedAt'] : [driving];
  const pieces = filter.conditions.map((condition) => render(condition, !usable.includes(condition.column)));
  const isEveryFacet = driving === 'facet' && !filter.conditions.some(({ column }) => column === 'facet');
  if (isEveryFacet) pieces.unshift({ sql: 'facet IN (SELECT id FROM facet)', parameters: [] });
  return {
    sql: `SELECT facet, COUNT(*) FROM task ${indexOf[driving]} ${whereOf(pieces)} GROUP BY facet`,
    parameters: pieces.flatMap(({ parameters }) => parameters),
  };
}

function whereOf(pieces: readonly SqlPiece[]): string {
  return pieces.length === 0 ? '' : `WHERE ${pieces.map(({ sql }) => sql).join(' AND ')}`;
}

/** Counts what a piece leaves, up to a limit. */
export function countUpToStatement(where: SqlPiece, index: string, limit: number): SqlPiece {
  return {
    sql: `SELECT COUNT(*) FROM (SELECT 1 FROM task ${index} WHERE ${where.sql} LIMIT ${limit})`,
    parameters: where.parameters,
  };
}
