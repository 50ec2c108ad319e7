import type { TaskFilter, TaskStatus } from '../api/types.ts';
import { parseDuration, writeDuration } from './durations.ts';
import { activeStatuses, failureClasses, taskStatuses } from './task-words.ts';

/** A bound of an age: `<` younger, `>` older. */
interface AgeBound {
  readonly isOlder: boolean;
  readonly durationMs: number;
}

/** A filter as it is written: what is relative stays relative until it is asked. */
export interface FilterTerms {
  readonly statuses: readonly TaskStatus[];
  readonly pipelines: readonly string[];
  readonly versions: readonly number[];
  readonly stages: readonly string[];
  readonly shards: readonly number[];
  readonly failureClasses: readonly string[];
  readonly failureFingerprints: readonly string[];
  readonly taskIds: readonly string[];
  readonly taskIdPrefix: string | null;
  /** Since the submit. */
  readonly age: readonly AgeBound[];
  /** Since the last change. */
  readonly idle: readonly AgeBound[];
}

/** A filter read off its text. */
export interface ParsedFilter {
  readonly terms: FilterTerms;
  /** One sentence for each word that means nothing. */
  readonly problems: readonly string[];
}

/** The filter that leaves nothing out. */
export const noTerms: FilterTerms = {
  statuses: [],
  pipelines: [],
  versions: [],
  stages: [],
  shards: [],
  failureClasses: [],
  failureFingerprints: [],
  taskIds: [],
  taskIdPrefix: null,
  age: [],
  idle: [],
};

type ListName = Exclude<keyof FilterTerms, 'taskIdPrefix' | 'age' | 'idle'>;

/** A word before the colon: the list that it fills, and how its values are read; null for a value that it does not take. */
interface Term {
  readonly list: ListName;
  readonly read: (value: string) => readonly (string | number)[] | null;
  readonly limit: string;
}

const namePattern = /^[a-z][a-z0-9-]{0,62}$/;
const idPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/;

const terms: Readonly<Record<string, Term>> = {
  status: { list: 'statuses', read: readStatus, limit: ['failed', 'active', ...taskStatuses].join(', ') },
  pipeline: { list: 'pipelines', read: matching(namePattern), limit: 'a name of a pipeline' },
  version: { list: 'versions', read: readNumber, limit: 'a whole number' },
  stage: { list: 'stages', read: matching(namePattern), limit: 'a name of a stage' },
  shard: { list: 'shards', read: readNumber, limit: 'a whole number' },
  class: {
    list: 'failureClasses',
    read: (value) => (failureClasses.some((known) => known === value) ? [value] : null),
    limit: failureClasses.join(', '),
  },
  fingerprint: { list: 'failureFingerprints', read: matching(/^[0-9a-f]{1,64}$/), limit: 'a fingerprint' },
  id: { list: 'taskIds', read: matching(idPattern), limit: 'a task id' },
};

/** The words that a filter may have before the colon. */
export const filterWords: readonly string[] = [...Object.keys(terms), 'age', 'idle'];

/**
 * A filter such as `status:failed stage:photos age:>1h card-` as terms. Words are joined by *and*, values with commas by *or*;
 * a word without a colon is the beginning of task ids.
 */
export function parseFilterText(text: string): ParsedFilter {
  const lists = new Map<ListName, Set<string | number>>();
  const ages: { age: AgeBound[]; idle: AgeBound[] } = { age: [], idle: [] };
  const problems: string[] = [];
  let taskIdPrefix: string | null = null;
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    const colon = word.indexOf(':');
    if (colon === -1) {
      if (!idPattern.test(word)) problems.push(`“${word}” cannot begin a task id`);
      else if (taskIdPrefix !== null) problems.push(`“${word}”: only one beginning of task ids can be given`);
      else taskIdPrefix = word;
      continue;
    }
    const name = word.slice(0, colon);
    const value = word.slice(colon + 1);
    if (name === 'age' || name === 'idle') {
      const bound = readBound(value);
      if (bound === null) problems.push(`${name}: takes < or > and a duration, such as ${name}:>1h30m`);
      else ages[name].push(bound);
      continue;
    }
    const term = Object.hasOwn(terms, name) ? terms[name] : undefined;
    if (term === undefined) {
      problems.push(`“${name}:” is none of ${filterWords.map((known) => `${known}:`).join(' ')}`);
      continue;
    }
    const values = value.split(',').map((one) => term.read(one));
    if (values.includes(null)) problems.push(`${name}: takes ${term.limit}`);
    const list = lists.get(term.list) ?? new Set();
    for (const one of values.flatMap((read) => read ?? [])) list.add(one);
    if (list.size > 0) lists.set(term.list, list);
  }
  const filled = Object.fromEntries([...lists].map(([list, values]) => [list, [...values]]));
  return { terms: { ...noTerms, ...filled, ...ages, taskIdPrefix }, problems };
}

/** The terms as text; {@link parseFilterText} gives them back. */
export function formatFilterText(filter: FilterTerms): string {
  const words = Object.entries(terms).flatMap(([name, { list }]) => {
    const values = filter[list];
    return values.length === 0 ? [] : [`${name}:${values.join(',')}`];
  });
  const bounds = (['age', 'idle'] as const).flatMap((name) =>
    filter[name].map(({ isOlder, durationMs }) => `${name}:${isOlder ? '>' : '<'}${writeDuration(durationMs)}`),
  );
  return [...words, ...bounds, ...(filter.taskIdPrefix === null ? [] : [filter.taskIdPrefix])].join(' ');
}

/** What the API is asked: the parts that are given, ages counted back from `now`. */
export function taskFilterOf(filter: FilterTerms, now: number): TaskFilter {
  const lists = Object.values(terms).flatMap(({ list }) => (filter[list].length === 0 ? [] : [[list, filter[list]]]));
  return {
    ...Object.fromEntries(lists),
    ...(filter.taskIdPrefix === null ? {} : { taskIdPrefix: filter.taskIdPrefix }),
    ...spanOf(filter.age, now, 'submittedFrom', 'submittedBefore'),
    ...spanOf(filter.idle, now, 'updatedFrom', 'updatedBefore'),
  } as TaskFilter;
}

/** Whether the filter leaves nothing out. */
export function isEmptyFilter(filter: FilterTerms): boolean {
  return formatFilterText(filter) === '';
}

/** The terms with one list replaced, for the buttons beside the text. */
export function withList(filter: FilterTerms, list: ListName, values: readonly (string | number)[]): FilterTerms {
  return { ...filter, [list]: values };
}

function spanOf(bounds: readonly AgeBound[], now: number, from: string, before: string): Record<string, number> {
  const younger = bounds.filter(({ isOlder }) => !isOlder).map(({ durationMs }) => now - durationMs);
  const older = bounds.filter(({ isOlder }) => isOlder).map(({ durationMs }) => now - durationMs);
  return {
    ...(younger.length === 0 ? {} : { [from]: Math.max(0, ...younger) }),
    ...(older.length === 0 ? {} : { [before]: Math.max(0, Math.min(...older)) }),
  };
}

function readStatus(value: string): readonly TaskStatus[] | null {
  if (value === 'failed') return ['deadLettered'];
  if (value === 'active') return activeStatuses;
  const status = taskStatuses.find((known) => known.toLowerCase() === value.toLowerCase());
  return status === undefined ? null : [status];
}

function readNumber(value: string): readonly number[] | null {
  return /^\d{1,9}$/.test(value) ? [Number(value)] : null;
}

function matching(pattern: RegExp): (value: string) => readonly string[] | null {
  return (value) => (pattern.test(value) ? [value] : null);
}

function readBound(value: string): AgeBound | null {
  const sign = value[0];
  const durationMs = parseDuration(value.slice(1));
  if ((sign !== '<' && sign !== '>') || durationMs === null) return null;
  return { isOlder: sign === '>', durationMs };
}
