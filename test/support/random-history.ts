import * as fc from 'fast-check';
import type { ActorMessage } from '../../src/actors/messages.ts';
import { a, aFailure, aTask, wayAfter, type TaskInTest } from './a-task.ts';

/** Messages that may move a task from where it stands, and some that may not. */
function messagesFor(task: TaskInTest, serial: number): ActorMessage[] {
  const stage = task.state?.stages.at(-1)?.stage ?? 'parse';
  const attempt = task.state?.machine.control.attempt ?? 1;
  const id = (name: string) => `c-${name}-${serial}`;
  return [
    task.state === null ? a.submit() : a.grant(stage),
    a.completion(stage, attempt),
    a.completion(stage, attempt),
    a.failing(stage, attempt),
    a.failing(stage, attempt, aFailure({ class: 'rateLimited', retryAfterMs: 5 })),
    a.failing(stage, attempt, aFailure({ class: 'fatal', causes: ['Error: x'] })),
    a.checkpoint(stage, attempt, `photo-${serial}`, { at: serial }),
    a.timer(task.state?.machine.control.dueAt ?? 0),
    a.pause(id('pause')),
    a.resume(id('resume')),
    a.redrive(id('redrive')),
    a.resolve({ kind: 'notDone' }, id('resolve')),
    a.resolve({ kind: 'completed', ...wayAfter(stage) }, id('resolve')),
    a.resolve({ kind: 'failed', failure: aFailure({ class: 'fatal' }) }, id('resolve')),
    a.lookup(stage, 'done', attempt),
    a.lookup(stage, 'notDone', attempt),
    a.lookup(stage, 'unknown', attempt),
    a.ownerChange(),
    a.release(stage, attempt),
    a.probation(stage, attempt),
    ...(serial % 5 === 4 ? [a.cancel(id('cancel')), a.quarantine()] : []),
  ];
}

interface Step {
  readonly choice: number;
  readonly hasSlot: boolean;
  readonly passMs: number;
}

/** Where a random history begins: chance alone seldom comes as far as the last stages. */
const beginnings: readonly (() => TaskInTest)[] = [
  () => aTask(),
  () => aTask().running('photos'),
  () => aTask().running('publish'),
  () => aTask().unknown('announce'),
];

/** A task after random commands and outcomes, of which those that are not legal were refused. */
export function wander({
  beginning,
  steps,
}: {
  readonly beginning: number;
  readonly steps: readonly Step[];
}): TaskInTest {
  const task = beginnings[beginning]?.() ?? aTask();
  for (const [serial, { choice, hasSlot, passMs }] of steps.entries()) {
    task.now += passMs;
    const messages = messagesFor(task, serial);
    const from = choice % messages.length;
    const inTurn = [...messages.slice(from), ...messages.slice(0, from)];
    const message = inTurn.find((candidate) => task.decide(candidate).kind === 'moved');
    if (message !== undefined) task.send(message, { mayStart: () => hasSlot });
  }
  return task;
}

/** Random steps of a task, for {@link wander}. */
export const histories = fc.record({
  beginning: fc.nat({ max: beginnings.length - 1 }),
  steps: fc.array(
    fc.record({ choice: fc.noBias(fc.nat({ max: 1_000 })), hasSlot: fc.boolean(), passMs: fc.nat({ max: 3_000 }) }),
    { minLength: 1, maxLength: 60, size: 'max' },
  ),
});
