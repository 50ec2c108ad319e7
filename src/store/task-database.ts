import Database from 'libsql';
import { assert, EngineError } from '../core/errors.ts';
import type { Millis, TaskId } from '../core/ids.ts';
import { finishedStatuses } from '../core/task-view.ts';
import type {
  TaskFilter,
  TaskGroup,
  TaskGroupField,
  TaskIndexChange,
  TaskListQuery,
  TaskPage,
  TaskRow,
} from '../ports/task-index.ts';
import { TaskFacets, type FacetSelection, type StoredFacet } from './task-facets.ts';
import {
  conditionsOf,
  countStatement,
  countUpToStatement,
  planSegment,
  segmentsOf,
  type FilterConditions,
  type Segment,
  type SqlPiece,
} from './task-plan.ts';
import { checkTaskQuery, encodeCursor, groupKeyOf, largestGroups } from './task-query.ts';
import {
  decodeRow,
  encodeRow,
  taskColumns,
  taskSchema,
  taskSchemaVersion,
  upsertTask,
  type MetaName,
} from './task-schema.ts';

type Statement = Database.Statement;

/** Memory that the database keeps of its file. */
const cacheKib = 64 * 1024;
/** Pages of the log after which it is copied into the file. */
const checkpointPages = 4_000;

/** What an index file cannot be used for: it was written by another version, or is broken. */
export class UnusableIndexFile extends Error {}

/**
 * The task index in one SQLite file (or in memory, as `:memory:`), synchronously: each call holds its thread for as long as it
 * takes. One process at a time.
 */
export class TaskDatabase {
  readonly #database: Database.Database;
  readonly #statements = new Map<string, Statement>();
  #facets: TaskFacets;
  #position: string | null;

  /** @throws UnusableIndexFile, EngineError `UNAVAILABLE` when another process has the file */
  constructor(path: string) {
    this.#database = openDatabase(path);
    try {
      this.#facets = this.#loadFacets();
      this.#position = this.#readMeta('position');
      this.#writeMeta('isOpen', 'yes');
    } catch (thrown) {
      this.#database.close();
      throw unusable(thrown);
    }
  }

  get position(): string | null {
    return this.#position;
  }

  get rowCount(): number {
    return this.#facets.taskCount;
  }

  rowsOf(taskIds: readonly TaskId[]): TaskRow[] {
    const sql = `SELECT ${taskColumns} FROM task WHERE taskId IN (SELECT value FROM json_each(?))`;
    return this.#rows({ sql, parameters: [JSON.stringify(taskIds)] });
  }

  scan(after: TaskId | null, limit: number): TaskRow[] {
    const sql = `SELECT ${taskColumns} FROM task WHERE taskId > ? ORDER BY taskId LIMIT ${limit}`;
    return this.#rows({ sql, parameters: [after ?? ''] });
  }

  list(query: TaskListQuery): TaskPage {
    const cursor = checkTaskQuery(query);
    const ids: TaskId[] = [];
    for (const segment of segmentsOf(query, cursor)) {
      const wanted = query.limit + 1 - ids.length;
      if (wanted > 0) ids.push(...this.#idsOf({ ...segment, wanted }, query.filter));
    }
    const rows = new Map(this.rowsOf(ids).map((row) => [row.task.taskId, row.task]));
    const tasks = ids.slice(0, query.limit).flatMap((id) => rows.get(id) ?? []);
    const last = tasks.at(-1);
    return { tasks, next: ids.length > query.limit && last !== undefined ? encodeCursor(last, query) : null };
  }

  count(filter: TaskFilter): number {
    return this.#countPerFacet(filter).reduce((sum, [, count]) => sum + count, 0);
  }

  countBy(field: TaskGroupField, filter: TaskFilter, limit: number): TaskGroup[] {
    const counts = new Map<string | number | null, number>();
    for (const [id, count] of this.#countPerFacet(filter)) {
      const key = groupKeyOf(this.#facets.get(id), field);
      counts.set(key, (counts.get(key) ?? 0) + count);
    }
    return largestGroups(counts, limit);
  }

  apply(change: TaskIndexChange): void {
    assert(
      change.after === this.#position,
      () => `a change builds on position ${change.after}, the index is at ${this.#position}`,
    );
    this.#transaction(() => {
      const upsert = this.#prepare(upsertTask);
      for (const row of change.rows) {
        this.#leaveFacet(row.task.taskId);
        const facetId = this.#facets.idOf(row.task);
        this.#facets.count(facetId, 1);
        upsert.run(encodeRow(row, facetId));
      }
      for (const taskId of change.deletes) this.#delete(taskId);
      this.#writeMeta('position', change.position);
    });
    this.#position = change.position;
  }

  expire(endedBefore: Millis, limit: number): number {
    const finished = this.#facets.select({ statuses: finishedStatuses });
    if (finished.taskCount === 0) return 0;
    // What is finished has no record after its end, so that its last change is its end; the index of facets has that.
    const sql = `SELECT taskId FROM task INDEXED BY task_facet
      WHERE facet IN (SELECT value FROM json_each(?)) AND updatedAt < ? LIMIT ${limit}`;
    const ids = JSON.stringify(finished.facets.map(({ id }) => id));
    const expired = this.#all({ sql, parameters: [ids, endedBefore] });
    if (expired.length > 0) {
      this.#transaction(() => {
        for (const [taskId] of expired) this.#delete(taskId as TaskId);
      });
    }
    return expired.length;
  }

  close(): void {
    this.#writeMeta('isOpen', 'no');
    this.#statements.clear();
    this.#database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    // Statements that are not collected yet keep the connection, but not the lock that the next access gives back.
    this.#database.exec('PRAGMA locking_mode = NORMAL; SELECT COUNT(*) FROM meta');
    this.#database.close();
  }

  #idsOf(segment: Segment, filter: TaskFilter): TaskId[] {
    const needs =
      segment.sortBy === 'endedAt'
        ? { isEnded: segment.hasValue }
        : segment.sortBy === 'dueAt'
          ? { isDue: segment.hasValue }
          : {};
    const facets = this.#facets.select(filter, needs);
    const conditions = this.#conditionsOf(filter, facets);
    if (conditions === null) return [];
    const plan = planSegment(segment, conditions, facets);
    if (plan.kind !== 'merge') {
      const found = this.#all(plan.statement);
      const isEnough = plan.kind === 'one' || found.length >= segment.wanted;
      return (isEnough ? found : this.#all(plan.otherwise)).map(([id]) => id as TaskId);
    }
    const direction = segment.descending ? -1 : 1;
    return plan.statements
      .flatMap((statement) => this.#all(statement) as [TaskId, number][])
      .toSorted((a, b) => (a[1] - b[1] || (a[0] < b[0] ? -1 : 1)) * direction)
      .slice(0, segment.wanted)
      .map(([id]) => id);
  }

  #countPerFacet(filter: TaskFilter): readonly (readonly [id: number, count: number])[] {
    const facets = this.#facets.select(filter);
    const conditions = this.#conditionsOf(filter, facets);
    if (conditions === null) return [];
    if (conditions.conditions.every(({ column }) => column === 'facet')) {
      return facets.facets.map(({ id, count }) => [id, count]);
    }
    return this.#all(countStatement(conditions)) as [number, number][];
  }

  #conditionsOf(filter: TaskFilter, facets: FacetSelection): FilterConditions | null {
    return conditionsOf(filter, facets, this.rowCount, (where, index, limit) => {
      const [[count] = []] = this.#all(countUpToStatement(where, index, limit));
      return count as number;
    });
  }

  #delete(taskId: TaskId): void {
    if (this.#leaveFacet(taskId)) this.#prepare('DELETE FROM task WHERE taskId = ?').run([taskId]);
  }

  /** Whether the task was there. */
  #leaveFacet(taskId: TaskId): boolean {
    const [known] = this.#all({ sql: 'SELECT facet FROM task WHERE taskId = ?', parameters: [taskId] });
    if (known === undefined) return false;
    this.#facets.count(known[0] as number, -1);
    return true;
  }

  /** Facets change with the tasks or not at all. */
  #transaction(change: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      change();
      for (const [id, key, count] of this.#facets.takeChanges()) {
        if (count > 0)
          this.#prepare('INSERT OR REPLACE INTO facet(id, key, count) VALUES (?, ?, ?)').run([id, key, count]);
        else this.#prepare('DELETE FROM facet WHERE id = ?').run([id]);
      }
      this.#database.exec('COMMIT');
    } catch (thrown) {
      if (this.#database.inTransaction) this.#database.exec('ROLLBACK');
      this.#facets = this.#loadFacets();
      throw thrown;
    }
  }

  #loadFacets(): TaskFacets {
    return new TaskFacets(
      this.#all({ sql: 'SELECT id, key, count FROM facet', parameters: [] }) as unknown as StoredFacet[],
    );
  }

  #rows(piece: SqlPiece): TaskRow[] {
    return this.#all(piece).map((values) => decodeRow(values, (id) => this.#facets.get(id)));
  }

  #readMeta(name: MetaName): string | null {
    const [row] = this.#all({ sql: 'SELECT value FROM meta WHERE name = ?', parameters: [name] });
    return (row?.[0] ?? null) as string | null;
  }

  #writeMeta(name: MetaName, value: string): void {
    this.#prepare('INSERT OR REPLACE INTO meta(name, value) VALUES (?, ?)').run([name, value]);
  }

  #all({ sql, parameters }: SqlPiece): unknown[][] {
    return this.#prepare(sql)
      .raw(true)
      .all([...parameters]) as unknown[][];
  }

  #prepare(sql: string): Statement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    // Statements differ in limits and in the filter's shape: what is asked seldom need not be kept.
    if (this.#statements.size >= maximumStatements) this.#statements.clear();
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

const maximumStatements = 200;

function openDatabase(path: string): Database.Database {
  let database: Database.Database | undefined;
  try {
    database = new Database(path);
    // Exclusive: two writers of one index would count tasks twice.
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    database.exec('PRAGMA journal_mode = WAL');
    // A cache of the journal: what a power loss breaks is built anew. A crash of the process breaks nothing.
    database.exec('PRAGMA synchronous = OFF');
    database.exec(`PRAGMA cache_size = -${cacheKib}`);
    database.exec('PRAGMA temp_store = MEMORY');
    database.exec(`PRAGMA wal_autocheckpoint = ${checkpointPages}`);
    prepareSchema(database);
    return database;
  } catch (thrown) {
    database?.close();
    throw unusable(thrown);
  }
}

function prepareSchema(database: Database.Database): void {
  const value = (sql: string): unknown => (database.prepare(sql).raw(true).all() as unknown[][])[0]?.[0];
  const version = value('PRAGMA user_version');
  if (version === 0 && value('SELECT COUNT(*) FROM sqlite_schema') === 0) {
    database.exec(`BEGIN IMMEDIATE; ${taskSchema} COMMIT;`);
    return;
  }
  if (version !== taskSchemaVersion) {
    throw new UnusableIndexFile(`its schema is version ${String(version)}, not ${taskSchemaVersion}`);
  }
  // Only what ended without a word may have been cut off by a power loss; a look at every page takes a second a gigabyte.
  if (value("SELECT value FROM meta WHERE name = 'isOpen'") !== 'yes') return;
  const verdict = value('PRAGMA quick_check(1)');
  if (verdict !== 'ok') throw new UnusableIndexFile(`it is broken: ${String(verdict)}`);
}

// Read-only is what a file says of itself whose head is damaged, too. Nothing is lost with it: the journal has it all.
const brokenCodes: ReadonlySet<string> = new Set([
  'SQLITE_CORRUPT',
  'SQLITE_NOTADB',
  'SQLITE_ERROR',
  'SQLITE_READONLY',
]);

/** A database error on opening: a file that cannot be used, or one that somebody else uses. */
function unusable(thrown: unknown): Error {
  if (!(thrown instanceof Error)) return new Error(String(thrown));
  if (thrown instanceof UnusableIndexFile) return thrown;
  const { code = '' } = thrown as { readonly code?: string };
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return new EngineError('UNAVAILABLE', 'the file of the task index is in use by another process', { cause: thrown });
  }
  if (brokenCodes.has(code)) return new UnusableIndexFile(thrown.message, { cause: thrown });
  if (!code.startsWith('SQLITE_')) return thrown;
  return new EngineError('UNAVAILABLE', `the file of the task index cannot be used: ${thrown.message}`, {
    cause: thrown,
  });
}
