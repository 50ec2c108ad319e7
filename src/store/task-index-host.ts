import { rmSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { asError, EngineError, unreachable, type ErrorReport } from '../core/errors.ts';
import { TaskDatabase, UnusableIndexFile } from './task-database.ts';
import type {
  TaskIndexCallName,
  TaskIndexCalls,
  TaskIndexRequest,
  TaskIndexResponse,
  TaskIndexThreadData,
} from './task-index-protocol.ts';

// The program of the index's thread: one database, one call after the other. A module that is loaded by `new Worker` alone; it does
// nothing on the main thread.

const port = parentPort;
if (port !== null) {
  const send = (response: TaskIndexResponse): void => port.postMessage(response);
  try {
    const { database, dropped } = openOrDrop(workerData as TaskIndexThreadData);
    port.on('message', (request: TaskIndexRequest) => {
      send(answer(database, request));
      if (request.name === 'close') port.close();
    });
    send({ kind: 'open', dropped, position: database.position, rowCount: database.rowCount });
  } catch (thrown) {
    send({ kind: 'failedToOpen', error: reportOf(thrown) });
    port.close();
  }
}

function openOrDrop({ path, isAnew }: TaskIndexThreadData): { database: TaskDatabase; dropped: string | null } {
  if (isAnew) dropFile(path);
  try {
    return { database: new TaskDatabase(path), dropped: null };
  } catch (thrown) {
    if (!(thrown instanceof UnusableIndexFile)) throw thrown;
    dropFile(path);
    return { database: new TaskDatabase(path), dropped: thrown.message };
  }
}

function dropFile(path: string): void {
  if (path === ':memory:') return;
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${path}${suffix}`, { force: true });
}

function answer(database: TaskDatabase, { id, name, request }: TaskIndexRequest): TaskIndexResponse {
  try {
    const value = call(database, name, request);
    return { kind: 'answer', id, answer: value, position: database.position, rowCount: database.rowCount };
  } catch (thrown) {
    return { kind: 'error', id, error: reportOf(thrown) };
  }
}

function call(database: TaskDatabase, name: TaskIndexCallName, request: unknown): unknown {
  switch (name) {
    case 'get':
      return database.rowsOf([request as TaskIndexCalls['get']['request']])[0]?.task ?? null;
    case 'list':
      return database.list(request as TaskIndexCalls['list']['request']);
    case 'count':
      return database.count(request as TaskIndexCalls['count']['request']);
    case 'countBy': {
      const { field, filter, limit } = request as TaskIndexCalls['countBy']['request'];
      return database.countBy(field, filter, limit);
    }
    case 'rowsOf':
      return database.rowsOf(request as TaskIndexCalls['rowsOf']['request']);
    case 'scan': {
      const { after, limit } = request as TaskIndexCalls['scan']['request'];
      return database.scan(after, limit);
    }
    case 'apply':
      return database.apply(request as TaskIndexCalls['apply']['request']);
    case 'expire': {
      const { endedBefore, limit } = request as TaskIndexCalls['expire']['request'];
      return database.expire(endedBefore, limit);
    }
    case 'close':
      return database.close();
    default:
      return unreachable(name);
  }
}

/** An error as it crosses to the main thread. What the database says is no promise of ours broken: it is not usable now. */
function reportOf(thrown: unknown): ErrorReport {
  if (thrown instanceof EngineError) return thrown.toReport();
  const { message } = asError(thrown);
  const { code } = thrown as { readonly code?: unknown };
  const isBroken = code === 'SQLITE_CORRUPT' || code === 'SQLITE_NOTADB';
  return new EngineError(isBroken ? 'RECORD_CORRUPT' : 'UNAVAILABLE', `the task index: ${message}`).toReport();
}
