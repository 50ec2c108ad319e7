import { z } from 'zod';
import { decide, type DecideContext, type Decision } from '../../src/actors/decide.ts';
import type { ActorMessage, PreparedSubmit } from '../../src/actors/messages.ts';
import type { TaskState } from '../../src/actors/task-state.ts';
import type { Failure } from '../../src/core/failures.ts';
import { contentHash } from '../../src/core/hash.ts';
import type { CommandId, Epoch, StageName, TaskId } from '../../src/core/ids.ts';
import type { JsonValue } from '../../src/core/json.ts';
import type { TaskRecord } from '../../src/core/records.ts';
import type { Reply } from '../../src/core/replies.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';

/** Four stages: one that is retried, one that may be skipped and has a deadline, one at most once, one that can be asked. */
export const listingPipeline: PipelineDefinition = definePipeline({
  name: 'listing',
  version: 2,
  input: z.object({ photos: z.number() }),
  stages: (pipeline) =>
    pipeline
      .stage('parse', {
        output: z.string(),
        driver: () => 'parsed',
        retry: { maxAttempts: 3, initialDelayMs: 1_000, factor: 2, jitter: 0.5 },
        timeoutMs: 10_000,
      })
      .stage('photos', {
        output: z.string(),
        driver: () => 'shot',
        retry: { maxAttempts: 2, initialDelayMs: 1_000, jitter: 0 },
        timeoutMs: 1_000,
        deadlineMs: 10_000,
        skip: { reason: 'the card has no photos', when: ({ input }) => input.photos === 0 },
      })
      .stage('publish', {
        output: z.string(),
        driver: () => 'published',
        retry: { maxAttempts: 2, jitter: 0 },
        timeoutMs: 1_000,
        effect: 'atMostOnce',
      })
      .stage('announce', {
        output: z.string(),
        driver: { execute: () => 'announced', lookup: () => Promise.resolve({ kind: 'unknown' }) },
        retry: { maxAttempts: 2, jitter: 0 },
        timeoutMs: 1_000,
      }),
});

/** A name as a stage's. */
export function stageOf(name: string): StageName {
  return name as StageName;
}

const stageNames = listingPipeline.stages.map(({ name }) => name);
const someFailure: Failure = { class: 'retryable', code: 'HTTP_503', name: 'Error', message: 'busy' };

/** A failure with some fields changed. */
export function aFailure(fields: Partial<Failure> = {}): Failure {
  return { ...someFailure, ...fields };
}

/** What an actor may be told; `a.pause()` and `a.pause('c-9')` with a command id of the test's own. */
export const a = {
  submit: (input: JsonValue = { photos: 3 }, commandId = 'c-submit'): PreparedSubmit => ({
    type: 'task.submit',
    taskId: 't-1' as TaskId,
    commandId: commandId as CommandId,
    definition: listingPipeline,
    input: { json: input },
    inputHash: contentHash(input),
    next: stageOf('parse'),
    skipped: [],
  }),
  pause: (commandId = 'c-pause'): ActorMessage => ({ type: 'task.pause', ...from(commandId) }),
  resume: (commandId = 'c-resume'): ActorMessage => ({ type: 'task.resume', ...from(commandId) }),
  cancel: (commandId = 'c-cancel'): ActorMessage => ({ type: 'task.cancel', ...from(commandId) }),
  redrive: (commandId = 'c-redrive'): ActorMessage => ({ type: 'task.redrive', ...from(commandId) }),
  resolve: (
    resolution: Extract<ActorMessage, { type: 'task.resolve' }>['resolution'] = { kind: 'notDone' },
    commandId = 'c-resolve',
  ): ActorMessage => ({ type: 'task.resolve', resolution, ...from(commandId) }),
  grant: (stage: string): ActorMessage => ({ type: 'slot.granted', stage: stageOf(stage) }),
  completion: (stage: string, attempt = 1): ActorMessage => ({
    type: 'stage.settled',
    stage: stageOf(stage),
    attempt,
    result: { kind: 'completed', ...wayAfter(stage) },
  }),
  failing: (stage: string, attempt = 1, failure: Failure = someFailure): ActorMessage => ({
    type: 'stage.settled',
    stage: stageOf(stage),
    attempt,
    result: { kind: 'failed', failure },
  }),
  checkpoint: (stage: string, attempt = 1, name = 'photo-7', value: JsonValue = 7): ActorMessage => ({
    type: 'checkpoint.reached',
    stage: stageOf(stage),
    attempt,
    name,
    value: { json: value },
  }),
  timer: (dueAt: number): ActorMessage => ({ type: 'timer.fired', dueAt }),
  lookup: (stage: string, kind: 'done' | 'notDone' | 'unknown', attempt = 1): ActorMessage => ({
    type: 'lookup.answered',
    stage: stageOf(stage),
    attempt,
    answer: kind === 'done' ? { kind, ...wayAfter(stage) } : { kind },
  }),
  release: (stage: string, attempt = 1, untouched = false): ActorMessage => ({
    type: 'stage.released',
    stage: stageOf(stage),
    attempt,
    untouched,
  }),
  probation: (stage: string, attempt = 1): ActorMessage => ({
    type: 'probation.passed',
    stage: stageOf(stage),
    attempt,
  }),
  ownerChange: (): ActorMessage => ({ type: 'owner.changed' }),
  quarantine: (): ActorMessage => ({ type: 'actor.quarantine', failure: aFailure({ class: 'poison' }) }),
};

function from(commandId: string): { taskId: TaskId; commandId: CommandId; by: string } {
  return { taskId: 't-1' as TaskId, commandId: commandId as CommandId, by: 'ops' };
}

/** A completion's output and the next stage, without a skip. */
export function wayAfter(stage: string): { output: { json: JsonValue }; next: StageName | null; skipped: [] } {
  return {
    output: { json: `${stage}-output` },
    next: stageNames[stageNames.indexOf(stageOf(stage)) + 1] ?? null,
    skipped: [],
  };
}

/** What a test may set of a decision's context. */
export type ContextFields = Partial<Pick<DecideContext, 'now' | 'epoch' | 'mayStart'>> & {
  readonly maxInterruptions?: number;
  readonly suspectAfterInterruptions?: number;
  readonly maxHandovers?: number;
  readonly dedupWindowSize?: number;
};

/** A decision that made a record. */
export type Move = Extract<Decision, { kind: 'moved' }>;

/**
 * One task under test. It comes to a place by real decisions, each at a later instant, so that its state is one that a task
 * can have and `records` is its history: `aTask().running('photos', { attempt: 2 })`.
 */
export class TaskInTest {
  state: TaskState | null = null;
  /** The clock of the next decision. */
  now = 1_000;
  readonly records: TaskRecord[] = [];

  /** What `decide` says, without taking it over. */
  decide(message: ActorMessage, fields: ContextFields = {}): Decision {
    const {
      maxInterruptions = 3,
      suspectAfterInterruptions = 2,
      maxHandovers = 5,
      dedupWindowSize = 32,
      ...rest
    } = fields;
    return decide(this.state, message, {
      taskId: 't-1' as TaskId,
      now: this.now,
      epoch: 1 as Epoch,
      definition: listingPipeline,
      mayStart: () => true,
      config: { maxInterruptions, suspectAfterInterruptions, maxHandovers, dedupWindowSize },
      ...rest,
    });
  }

  /** Takes over a decision that must move the task. */
  send(message: ActorMessage, fields: ContextFields = {}): Move {
    const decision = this.decide(message, fields);
    if (decision.kind !== 'moved') throw new Error(`${message.type} did not move it: ${JSON.stringify(decision)}`);
    this.state = decision.state;
    this.records.push(decision.record);
    this.now += 10;
    return decision;
  }

  /** The answer to a command, whatever it costs. */
  ask(message: ActorMessage, fields: ContextFields = {}): Reply {
    const decision = this.decide(message, fields);
    if (decision.kind === 'straggler' || decision.reply === null) throw new Error(`${message.type} has no answer`);
    return decision.reply;
  }

  get value(): string {
    return this.state?.machine.value ?? 'new';
  }

  /** The state of a task that exists. */
  get known(): TaskState {
    if (this.state === null) throw new Error('the task does not exist');
    return this.state;
  }

  get dueAt(): number {
    const { dueAt } = this.known.machine.control;
    if (dueAt === null) throw new Error(`nothing is due in ${this.value}`);
    return dueAt;
  }

  running(stage: string, { attempt = 1 }: { readonly attempt?: number } = {}): this {
    this.#startAt(stage);
    for (let failed = 1; failed < attempt; failed += 1) {
      this.send(a.failing(stage, failed));
      this.send(a.timer(this.dueAt), { now: this.dueAt });
    }
    return this;
  }

  queued(stage: string): this {
    if (stage === 'parse') this.send(a.submit(), { mayStart: () => false });
    else this.send(a.completion(this.#startAt(before(stage))), { mayStart: () => false });
    return this;
  }

  backingOff(stage: string, { attempt = 1 }: { readonly attempt?: number } = {}): this {
    this.running(stage, { attempt }).send(a.failing(stage, attempt));
    return this;
  }

  held(stage: string): this {
    this.queued(stage).send(a.pause());
    return this;
  }

  /** Its outcome is unknown: `publish` waits for an operator, `announce` for its driver. */
  unknown(stage: 'publish' | 'announce', { attempt = 1 }: { readonly attempt?: number } = {}): this {
    this.running(stage, { attempt }).send(a.ownerChange());
    return this;
  }

  deadLettered(stage: string): this {
    this.running(stage).send(a.failing(stage, 1, aFailure({ class: 'fatal' })));
    return this;
  }

  completed(): this {
    this.send(a.completion(this.#startAt('announce')));
    return this;
  }

  canceled(): this {
    this.queued('parse').send(a.cancel());
    return this;
  }

  /** Brings a new task into the first attempt of a stage. */
  #startAt(stage: string): string {
    this.send(a.submit());
    for (const earlier of stageNames.slice(0, stageNames.indexOf(stageOf(stage)))) this.send(a.completion(earlier));
    return stage;
  }
}

function before(stage: string): string {
  const earlier = stageNames[stageNames.indexOf(stageOf(stage)) - 1];
  if (earlier === undefined) throw new Error(`no stage comes before ${stage}`);
  return earlier;
}

/** A task that was not submitted yet. */
export function aTask(): TaskInTest {
  return new TaskInTest();
}
