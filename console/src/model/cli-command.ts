import type { BulkAction, TaskCommandName } from '../api/types.ts';
import type { FilterTerms } from './filter-text.ts';

/** A word of a shell's command line, quoted where a shell would read it otherwise. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Options that every command to a task may have. */
interface Note {
  readonly reason?: string | undefined;
  readonly commandId?: string | undefined;
  readonly expectedSeq?: number | undefined;
}

function line(words: readonly string[], { reason, commandId, expectedSeq }: Note = {}): string {
  return [
    'cabinet',
    ...words.map(shellWord),
    ...(reason === undefined || reason === '' ? [] : ['--reason', shellWord(reason)]),
    ...(commandId === undefined ? [] : ['--command-id', shellWord(commandId)]),
    ...(expectedSeq === undefined ? [] : ['--expected-seq', String(expectedSeq)]),
  ].join(' ');
}

/** What an operator says of an interrupted stage. */
export type ResolutionText =
  | { readonly kind: 'completed'; readonly output: string }
  | { readonly kind: 'notDone' }
  | { readonly kind: 'failed'; readonly message: string };

/** The command line that does the same to one task. */
export function taskCommandLine(command: Exclude<TaskCommandName, 'resolve'>, taskId: string, note: Note): string {
  return line(['task', command, taskId], note);
}

/** The command line that resolves an unknown outcome. */
export function resolveCommandLine(taskId: string, resolution: ResolutionText, note: Note): string {
  const options = {
    completed: () => ['--completed', (resolution as { readonly output: string }).output],
    notDone: () => ['--not-done'],
    failed: () => ['--failed', (resolution as { readonly message: string }).message],
  }[resolution.kind]();
  return line(['task', 'resolve', taskId, ...options], note);
}

/** The command line that submits the same task. */
export function submitCommandLine(request: {
  readonly pipeline: string;
  readonly version?: number | undefined;
  readonly input: unknown;
  readonly taskId?: string | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly reason?: string | undefined;
}): string {
  const { pipeline, version, input, taskId, idempotencyKey, reason } = request;
  return line(
    [
      'task',
      'submit',
      pipeline,
      '--input',
      JSON.stringify(input),
      ...(version === undefined ? [] : ['--pipeline-version', String(version)]),
      ...(taskId === undefined ? [] : ['--id', taskId]),
      ...(idempotencyKey === undefined ? [] : ['--idempotency-key', idempotencyKey]),
    ],
    { reason },
  );
}

/**
 * The command line that does the same as a bulk action; null where there is none: the command line redrives by pipeline, stage, class
 * and fingerprint, one of each, and takes ids for the rest.
 */
export function bulkCommandLine(action: BulkAction, filter: FilterTerms, note: Note): string | null {
  const { taskIds, pipelines, stages, failureClasses, failureFingerprints } = filter;
  const used = Object.entries(filter).filter(([, value]) => value !== null && (value as readonly unknown[]).length > 0);
  if (used.length === 1 && taskIds.length > 0) return line(['task', action, ...taskIds], note);
  if (action !== 'redrive') return null;
  const known = ['statuses', 'pipelines', 'stages', 'failureClasses', 'failureFingerprints'];
  const lists = [pipelines, stages, failureClasses, failureFingerprints];
  const isTold =
    used.every(([name]) => known.includes(name)) &&
    lists.every((list) => list.length <= 1) &&
    filter.statuses.every((status) => status === 'deadLettered');
  if (!isTold) return null;
  const options = [
    ...pipelines.flatMap((name) => ['--pipeline', name]),
    ...stages.flatMap((name) => ['--stage', name]),
    ...failureClasses.flatMap((name) => ['--class', name]),
    ...failureFingerprints.flatMap((hash) => ['--fingerprint', hash]),
  ];
  return line(['dlq', 'redrive', ...(options.length === 0 ? ['--all'] : options), '--yes'], { reason: note.reason });
}

/** The command line of an order to a node. */
export function nodeCommandLine(order: 'cordon' | 'uncordon' | 'drain', nodeId: string): string {
  return line(['node', order, nodeId]);
}

/** The command line that moves a shard, or takes its pin back (`nodeId` null). */
export function shardCommandLine(shard: number, nodeId: string | null): string {
  return line(nodeId === null ? ['shard', 'unpin', String(shard)] : ['shard', 'move', String(shard), nodeId]);
}

/**
 * The command line that asks the API itself, for what the engine's own command line has no command for. It reads the token from the
 * environment: a token in a command line is in the shell's history.
 *
 * @param origin - of this server, as the page knows it
 */
export function apiCommandLine(
  origin: string,
  { method, path, body }: { readonly method: 'POST' | 'DELETE'; readonly path: string; readonly body: object },
): string {
  const headers = ['Content-Type: application/json', 'X-Cabinet-Request: 1'].map((text) => `-H ${shellWord(text)}`);
  return [
    'curl --fail-with-body',
    `-X ${method}`,
    shellWord(`${origin}${path}`),
    '-H "Authorization: Bearer $CABINET_TOKEN"',
    ...headers,
    `--data ${shellWord(JSON.stringify(body))}`,
  ].join(' ');
}
