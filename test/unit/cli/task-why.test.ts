import { describe, expect, it } from 'vitest';
import { whyText } from '../../../src/cli/task-why-command.ts';
import { plainPaint } from '../../../src/cli/terminal.ts';
import { explainTask } from '../../../src/projections/explain-task.ts';
import type { ExplainedTask } from '../../../src/projections/task-hold.ts';

const now = 1_700_000_000_000;
const drawing = { paint: plainPaint, width: undefined };

function whyOf(changes: Partial<ExplainedTask>): string {
  const task = {
    taskId: 'card-42',
    shard: 3,
    state: 'print.backingOff',
    status: 'backingOff',
    stage: 'print',
    attempt: 2,
    dueAt: now + 90_000,
    pausing: false,
    legalCommands: ['pause', 'cancel'],
    failure: null,
    ...changes,
  } as ExplainedTask;
  const owner = { node: 'n-1', epoch: 4 } as never;
  return whyText(explainTask(task, { now, source: 'owner', owner }), now, drawing);
}

describe('why, for people', () => {
  it('says what holds the task, who moves it, when, and the commands as they are typed', () => {
    expect(
      whyOf({})
        .split('\n')
        .map((line) => line.trimEnd()),
    ).toEqual([
      'card-42 backingOff',
      'state     print.backingOff',
      'why       Stage print failed at attempt 2 and goes on in 90 s.',
      'held by   timer',
      'moved by  itself, operator',
      'moves     2023-11-14T22:14:50.000Z (in 1m 30s)',
      'owner     n-1 in epoch 4',
      '',
      'COMMAND                      THEN',
      'cabinet task pause card-42   it is held before its next start; what runs ends first',
      'cabinet task cancel card-42  it ends for good; what a running driver returns is dropped',
    ]);
  });

  it.each([
    [{ status: 'held', dueAt: null }, 'moves     not by itself'],
    [{ status: 'completed', stage: null, dueAt: null, legalCommands: [] }, 'moves     never'],
    [{ status: 'running', dueAt: null }, 'moves     at a time that nobody knows'],
  ] as const)('says of %j that it moves as it does', (changes, line) => {
    expect(whyOf(changes as Partial<ExplainedTask>)).toContain(line);
  });
});
