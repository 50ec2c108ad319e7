import type { BulkAction, Role, TaskCommandName } from '../api/types.ts';
import { writeDuration } from './durations.ts';
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

/** Where the API is that a command line asks, and why. Its token is read from the environment: this line is in the shell's history. */
interface ApiNote {
  /** Of this server, as the page knows it. */
  readonly origin: string;
  readonly reason?: string | undefined;
}

function apiLine(words: readonly string[], { origin, reason }: ApiNote): string {
  return line([...words, '--admin-url', origin], { reason });
}

/** How careful a bulk action is. */
export interface BulkPace {
  readonly firstBatch: number;
  readonly watchSeconds: number;
  readonly ratePerSecond: number;
  readonly stopAtFailurePercent: number;
}

/** The pace when nothing else is said, here and in the command line. */
export const usualPace: BulkPace = { firstBatch: 10, watchSeconds: 30, ratePerSecond: 50, stopAtFailurePercent: 2 };
/** More tasks than this are taken only when their number is confirmed. */
const confirmationCount = 10_000;

/** The command line that begins the same bulk action; a repeat of it begins no second one. */
export function bulkStartLine(
  action: BulkAction,
  filter: FilterTerms,
  run: { readonly bulkId: string; readonly pace: BulkPace; readonly count: number },
  note: ApiNote,
): string {
  const { bulkId, pace, count } = run;
  const filterWords = filterOptions(filter);
  const paceWords = (
    [
      ['--first-batch', pace.firstBatch, usualPace.firstBatch, ''],
      ['--watch-first', pace.watchSeconds, usualPace.watchSeconds, 's'],
      ['--rate', pace.ratePerSecond, usualPace.ratePerSecond, ''],
      ['--stop-at', pace.stopAtFailurePercent, usualPace.stopAtFailurePercent, ''],
    ] as const
  ).flatMap(([option, value, usual, unit]) => (value === usual ? [] : [option, `${value}${unit}`]));
  const words = [
    'bulk',
    'start',
    action,
    ...(filterWords.length === 0 ? ['--all'] : filterWords),
    ...paceWords,
    ...(count > confirmationCount ? ['--confirm-count', String(count)] : []),
    '--bulk-id',
    bulkId,
    '--yes',
  ];
  return apiLine(words, note);
}

function filterOptions(filter: FilterTerms): readonly string[] {
  const lists = [
    ['--status', filter.statuses],
    ['--pipeline', filter.pipelines],
    ['--pipeline-version', filter.versions],
    ['--stage', filter.stages],
    ['--shard', filter.shards],
    ['--class', filter.failureClasses],
    ['--fingerprint', filter.failureFingerprints],
    ['--id', filter.taskIds],
    ['--id-prefix', filter.taskIdPrefix === null ? [] : [filter.taskIdPrefix]],
    ['--submitted-since', tightest(filter.age, false)],
    ['--submitted-before', tightest(filter.age, true)],
    ['--updated-since', tightest(filter.idle, false)],
    ['--updated-before', tightest(filter.idle, true)],
  ] as const;
  return lists.flatMap(([option, values]) => values.flatMap((value) => [option, String(value)]));
}

/** Of several bounds on one side the one that leaves the most out: the others say nothing beside it. */
function tightest(bounds: FilterTerms['age'], isOlder: boolean): readonly string[] {
  const spans = bounds.filter((bound) => bound.isOlder === isOlder).map(({ durationMs }) => durationMs);
  if (spans.length === 0) return [];
  return [writeDuration(isOlder ? Math.max(...spans) : Math.min(...spans))];
}

/** The command line that holds a bulk action, lets it go on or ends it. */
export function bulkOrderLine(order: 'pause' | 'resume' | 'abort', bulkId: string, note: ApiNote): string {
  return apiLine(['bulk', order, bulkId], note);
}

/** The command line that makes such a token. @param life - null: it does not expire */
export function tokenCreateLine(
  { name, role, lifeMs }: { readonly name: string; readonly role: Role; readonly lifeMs: number | null },
  note: ApiNote,
): string {
  const expires = lifeMs === null ? 'never' : writeDuration(lifeMs);
  return apiLine(['token', 'create', name, '--role', role, '--expires', expires], note);
}

/** The command line that revokes a token. */
export function tokenRevokeLine(tokenId: string, note: ApiNote): string {
  return apiLine(['token', 'revoke', tokenId], note);
}

/** The command line of an order to a node. */
export function nodeCommandLine(
  order: 'cordon' | 'uncordon' | 'drain',
  nodeId: string,
  { reason }: Pick<Note, 'reason'>,
): string {
  return line(['node', order, nodeId], { reason });
}

/** The command line that moves a shard, or takes its pin back (`nodeId` null). */
export function shardCommandLine(shard: number, nodeId: string | null, { reason }: Pick<Note, 'reason'>): string {
  const words = nodeId === null ? ['shard', 'unpin', String(shard)] : ['shard', 'move', String(shard), nodeId];
  return line(words, { reason });
}
