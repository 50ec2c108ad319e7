import { describe, expect, it } from 'vitest';
import { describeRecord, eventLine } from '../../../src/cli/history-text.ts';
import { plainPaint } from '../../../src/cli/terminal.ts';
import type { TaskEvent } from '../../../src/core/records.ts';
import type { PipelineEvent } from '../../../src/projections/cloud-event.ts';

describe('a record', () => {
  const failure = { class: 'retryable', code: 'HTTP_503', name: 'Error', message: 'busy' };

  it.each([
    [
      { type: 'stage.failed', stage: 'publish', attempt: 2, failure, decision: { kind: 'retry', delayMs: 1_500 } },
      'publish attempt 2, again in 1.5s: retryable HTTP_503 busy',
    ],
    [
      {
        type: 'stage.failed',
        stage: 'publish',
        attempt: 3,
        failure,
        decision: { kind: 'deadLetter', reason: 'attemptsExhausted' },
      },
      'publish attempt 3, dead-lettered: attemptsExhausted: retryable HTTP_503 busy',
    ],
    [{ type: 'task.paused', origin: { commandId: 'c', by: 'me', reason: 'why' } }, 'by me, why'],
    [
      { type: 'stage.completed', stage: 'parse', attempt: 1, skipped: [{ stage: 'photos', reason: 'none' }] },
      'parse attempt 1, skips photos (none)',
    ],
    [{ type: 'owner.changed', epoch: 4, decision: { kind: 'rerun' } }, 'owner lost, epoch 4: rerun'],
    [
      { type: 'stage.released', stage: 'parse', attempt: 2, decision: { kind: 'park' } },
      'parse attempt 2, handed over: park',
    ],
    [{ type: 'stage.cleared', stage: 'parse', attempt: 3 }, 'parse attempt 3, probation passed'],
    [{ type: 'something.newer' }, ''],
  ])('%# says what happened', (event, text) => {
    expect(describeRecord(event as unknown as TaskEvent)).toBe(text);
  });
});

describe('an event', () => {
  it('is one line, its control characters shown', () => {
    const event = {
      type: 'io.cabinet.stage.failed',
      time: '2026-01-01T00:00:00.000Z',
      data: {
        pipeline: 'card',
        seq: 3,
        stage: 'publish',
        attempt: 1,
        failure: { class: 'fatal', code: 'X', message: 'a\nb \u001b[2J' },
        output: { kind: 'inline', sizeBytes: 11, sha256: 'f' },
      },
    } as unknown as PipelineEvent;
    expect(eventLine(event, plainPaint)).toBe(
      '2026-01-01T00:00:00.000Z  stage.failed  stage=publish attempt=1 failure=fatal X "a\\nb \\u001b[2J" output=inline 11 bytes',
    );
  });
});
