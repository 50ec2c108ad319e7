import { z } from 'zod';
import type { Continuation, TaskEvent } from '../../../src/core/records.ts';
import type { StageName } from '../../../src/core/ids.ts';
import { definePipeline } from '../../../src/pipeline/define-pipeline.ts';
import type { MachineEvent } from '../../../src/pipeline/guards.ts';
import { initialControl, type StageControl } from '../../../src/pipeline/control.ts';

/** Five stages, two of which may be skipped, one that is at most once. */
export const cardPipeline = definePipeline({
  name: 'card',
  version: 1,
  input: z.object({ url: z.string(), photos: z.number().default(0) }),
  stages: (pipeline) =>
    pipeline
      .stage('parse', {
        output: z.object({ title: z.string() }),
        driver: (ctx) => ({ title: ctx.input.url }),
        retry: { maxAttempts: 3 },
        timeoutMs: 1_000,
      })
      .stage('photos', {
        output: z.object({ count: z.number() }),
        driver: { execute: (ctx) => ({ count: ctx.input.photos }) },
        retry: { maxAttempts: 2, initialDelayMs: 100, factor: 3, maxDelayMs: 1_000, jitter: 0 },
        timeoutMs: 2_000,
        heartbeatTimeoutMs: 500,
        skip: { reason: 'the card has no photos', when: (ctx) => ctx.input.photos === 0 },
      })
      .stage('publish', {
        output: z.string(),
        driver: (ctx) => `${ctx.outputs.parse.title}:${ctx.outputs.photos?.count ?? 0}`,
        retry: { maxAttempts: 1 },
        timeoutMs: 1_000,
        effect: 'atMostOnce',
      })
      .stage('export', {
        output: z.null(),
        driver: async () => Promise.resolve(null),
        retry: { maxAttempts: 2 },
        timeoutMs: 1_000,
        deadlineMs: 5_000,
        skip: { reason: 'nothing to export', when: ({ outputs }) => outputs.publish === '' },
      }),
});

/** A stage's name, branded. */
export function named(name: string): StageName {
  return name as StageName;
}

/** How a stage goes on; the skipped stages by name. */
export function onTo(next: string | null, options: { start?: boolean; skipped?: string[] } = {}): Continuation {
  return {
    next: next === null ? null : named(next),
    start: options.start ?? false,
    skipped: (options.skipped ?? []).map((stage) => ({ stage: named(stage), reason: 'declared' })),
  };
}

/** A control of a stage that was entered at 1,000. */
export function aControl(fields: Partial<StageControl> = {}): StageControl {
  return { ...initialControl, enteredAt: 1_000, ...fields };
}

const origin = { commandId: 'command-1' } as never;
const output = { json: 'output' };
const failure = { class: 'retryable', code: 'HTTP_503', name: 'Error', message: 'busy' } as const;

/** Events of every type, with what matters to the test. */
export const an = {
  submit: (continuation: Continuation): TaskEvent => ({
    type: 'task.submitted',
    pipeline: 'card' as never,
    version: 1,
    input: { json: {} },
    inputHash: 'hash',
    origin,
    ...continuation,
  }),
  start: (stage: string, attempt: number): TaskEvent => ({ type: 'stage.started', stage: named(stage), attempt }),
  checkpoint: (stage: string, attempt: number): TaskEvent => ({
    type: 'stage.checkpointed',
    stage: named(stage),
    attempt,
    name: 'photo-7',
    value: output,
  }),
  completion: (stage: string, attempt: number, continuation: Continuation): TaskEvent => ({
    type: 'stage.completed',
    stage: named(stage),
    attempt,
    output,
    ...continuation,
  }),
  retry: (stage: string, attempt: number, dueAt = 5_000): TaskEvent => ({
    type: 'stage.failed',
    stage: named(stage),
    attempt,
    failure,
    decision: { kind: 'retry', dueAt, delayMs: 1_000 },
  }),
  giveUp: (stage: string, attempt: number): TaskEvent => ({
    type: 'stage.failed',
    stage: named(stage),
    attempt,
    failure,
    decision: { kind: 'deadLetter', reason: 'notRetryable' },
  }),
  due: (stage: string, attempt: number, start = false): TaskEvent => ({
    type: 'retry.due',
    stage: named(stage),
    attempt,
    start,
  }),
  pause: (): TaskEvent => ({ type: 'task.paused', origin }),
  resume: (): TaskEvent => ({ type: 'task.resumed', origin }),
  cancel: (): TaskEvent => ({ type: 'task.canceled', origin }),
  redrive: (): TaskEvent => ({ type: 'task.redriven', origin }),
  resolveCompleted: (stage: string, attempt: number, continuation: Continuation): TaskEvent => ({
    type: 'outcome.resolved',
    stage: named(stage),
    attempt,
    by: 'operator',
    resolution: { kind: 'completed', output, ...continuation },
    origin,
  }),
  resolve: (stage: string, attempt: number, kind: 'notDone' | 'unknown' | 'failed'): TaskEvent => ({
    type: 'outcome.resolved',
    stage: named(stage),
    attempt,
    by: 'lookup',
    resolution: kind === 'failed' ? { kind, failure } : { kind },
  }),
  ownerChange: (stage: string, attempt: number, kind: 'rerun' | 'lookup' | 'park' | 'deadLetter'): TaskEvent => ({
    type: 'owner.changed',
    stage: named(stage),
    attempt,
    epoch: 2 as never,
    decision: kind === 'deadLetter' ? { kind, reason: 'interruptedTooOften', failure } : { kind },
  }),
  release: (stage: string, attempt: number, kind: 'rerun' | 'lookup' | 'park'): TaskEvent => ({
    type: 'stage.released',
    stage: named(stage),
    attempt,
    decision: { kind },
  }),
  clearance: (stage: string, attempt: number): TaskEvent => ({ type: 'stage.cleared', stage: named(stage), attempt }),
  quarantine: (): TaskEvent => ({ type: 'task.quarantined', failure }),
};

/** The event at an instant. */
export function at(instant: number, event: TaskEvent): MachineEvent {
  return { ...event, at: instant };
}
