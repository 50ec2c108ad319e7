import { describe, expect, it } from 'vitest';
import { checkRedriveOptions, isConfirmed } from '../../../src/cli/dlq-redrive-command.ts';
import type { TaskView } from '../../../src/core/task-view.ts';
import { groupFailures } from '../../../src/projections/failure-groups.ts';

function deadLetter(taskId: string, code: string, updatedAt: number, more: object = {}): TaskView {
  const failure = { class: 'fatal', code, name: 'FatalError', message: `card ${taskId} was refused` };
  return { taskId, pipeline: 'card', stage: 'publish', updatedAt, failure, ...more } as unknown as TaskView;
}

describe('dead letters', () => {
  it('are grouped by kind of failure, the most frequent first, with the newest as sample', () => {
    const groups = groupFailures([
      deadLetter('a-1', 'HTTP_500', 10),
      deadLetter('a-2', 'SHOP_CLOSED', 30, { pipeline: 'other' }),
      deadLetter('a-3', 'SHOP_CLOSED', 20),
    ]);
    expect(groups).toMatchObject([
      {
        count: 2,
        code: 'SHOP_CLOSED',
        message: 'card <id> was refused',
        pipelines: ['other', 'card'],
        oldestAt: 20,
        newestAt: 30,
        sampleTaskId: 'a-2',
      },
      { count: 1, code: 'HTTP_500' },
    ]);
    expect(groups[0]?.fingerprint).not.toBe(groups[1]?.fingerprint);
  });

  it('without a failure are a group too', () => {
    expect(groupFailures([deadLetter('a', '', 1, { failure: null })])).toMatchObject([
      { fingerprint: null, class: null, message: '', count: 1 },
    ]);
    expect(groupFailures([])).toEqual([]);
  });
});

describe('a redrive of many', () => {
  it('INVALID_ARGUMENT unless exactly one way says which are meant', () => {
    expect(() => checkRedriveOptions([], {}, {})).toThrow('nothing says which');
    expect(() => checkRedriveOptions(['a'], {}, { all: true })).toThrow('exclude each other');
    expect(() => checkRedriveOptions([], { stage: 'publish' }, { all: true })).toThrow('exclude each other');
    expect(() => checkRedriveOptions(['a'], {}, { dryRun: true })).toThrow('--dry-run is for a filter');
    expect(checkRedriveOptions([], { stage: 'publish' }, { dryRun: true })).toBeUndefined();
  });

  it.each([
    [{}, undefined, false],
    [{}, '', false],
    [{}, 'false', false],
    [{}, '1', true],
    [{}, 'true', true],
    [{ yes: true }, undefined, true],
  ])('with %j and CI %j is confirmed: %s', (options, ci, expected) => {
    expect(isConfirmed(options, ci)).toBe(expected);
  });
});
