import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatFilterText,
  isEmptyFilter,
  noTerms,
  parseFilterText,
  taskFilterOf,
  type FilterTerms,
} from '../../../console/src/model/filter-text.ts';
import { failureClasses, taskStatuses } from '../../../console/src/model/task-words.ts';

const now = 1_700_000_000_000;

describe('the filter of the task list as text', () => {
  it('reads words as and, commas as or, and what has no colon as the beginning of ids', () => {
    const { terms, problems } = parseFilterText(
      'status:failed,held stage:photos pipeline:card version:2,3 shard:0 card-',
    );
    expect(problems).toEqual([]);
    expect(taskFilterOf(terms, now)).toEqual({
      statuses: ['deadLettered', 'held'],
      stages: ['photos'],
      pipelines: ['card'],
      versions: [2, 3],
      shards: [0],
      taskIdPrefix: 'card-',
    });
  });

  it('counts ages back from the moment of the question: younger is from, older is before', () => {
    const { terms } = parseFilterText('age:>1h30m age:<2d idle:<90s');
    expect(taskFilterOf(terms, now)).toEqual({
      submittedBefore: now - 5_400_000,
      submittedFrom: now - 172_800_000,
      updatedFrom: now - 90_000,
    });
  });

  it('takes the narrower of two bounds of one side', () => {
    expect(taskFilterOf(parseFilterText('age:<1h age:<1m age:>1s age:>5s').terms, now)).toEqual({
      submittedFrom: now - 60_000,
      submittedBefore: now - 5_000,
    });
  });

  it('knows status:active and any writing of a status', () => {
    expect(parseFilterText('status:active').terms.statuses).toEqual([
      'queued',
      'running',
      'backingOff',
      'held',
      'unknown',
    ]);
    expect(parseFilterText('status:DEADLETTERED').terms.statuses).toEqual(['deadLettered']);
  });

  it.each([
    ['status:broken', /^status: takes failed, active, queued/],
    ['colour:red', /“colour:” is none of status:/],
    ['constructor:x', /“constructor:” is none of/],
    ['version:two', /^version: takes a whole number/],
    ['stage:Photos', /^stage: takes a name/],
    ['class:odd', /^class: takes retryable/],
    ['fingerprint:xyz', /^fingerprint: takes a fingerprint/],
    ['age:1h', /^age: takes < or >/],
    ['age:>soon', /^age: takes < or >/],
    ['<script>', /“<script>” cannot begin a task id/],
    ['card- other-', /only one beginning/],
    ['id:', /^id: takes a task id/],
  ])('says what is wrong with %s, and goes on with the rest', (text, problem) => {
    const { terms, problems } = parseFilterText(`pipeline:card ${text}`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(problem);
    expect(terms.pipelines).toEqual(['card']);
  });

  it('is empty when nothing is said', () => {
    expect(isEmptyFilter(parseFilterText('  ').terms)).toBe(true);
    expect(isEmptyFilter(parseFilterText('shard:0').terms)).toBe(false);
    expect(taskFilterOf(noTerms, now)).toEqual({});
  });

  it('reads back what it writes, for any filter', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);
    const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,40}$/);
    const few = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value[]> => fc.uniqueArray(value, { maxLength: 3 });
    const bounds = fc.array(fc.record({ isOlder: fc.boolean(), durationMs: fc.nat(10_000_000_000) }), { maxLength: 2 });
    const anyTerms: fc.Arbitrary<FilterTerms> = fc.record({
      statuses: few(fc.constantFrom(...taskStatuses)),
      pipelines: few(name),
      versions: few(fc.nat(999_999)),
      stages: few(name),
      shards: few(fc.nat(4_095)),
      failureClasses: few(fc.constantFrom(...failureClasses)),
      failureFingerprints: few(fc.stringMatching(/^[0-9a-f]{1,16}$/)),
      taskIds: few(id),
      taskIdPrefix: fc.option(id),
      age: bounds,
      idle: bounds,
    });
    fc.assert(
      fc.property(anyTerms, (terms) => {
        expect(parseFilterText(formatFilterText(terms))).toEqual({ terms, problems: [] });
      }),
    );
  });
});
