import type { ActorMessage } from '../../src/actors/messages.ts';
import type { Decision } from '../../src/actors/decide.ts';
import { replay } from '../../src/actors/evolve.ts';
import { decodeSnapshot, encodeSnapshot, snapshotFormat } from '../../src/actors/snapshot-codec.ts';
import type { TaskState } from '../../src/actors/task-state.ts';
import { assembleCommit, commitFormat, decodeCommit, encodeRecord } from '../../src/core/commit-codec.ts';
import { unreachable } from '../../src/core/errors.ts';
import { contentHash } from '../../src/core/hash.ts';
import type { JsonValue } from '../../src/core/json.ts';
import type { Epoch, TaskId } from '../../src/core/ids.ts';
import { PipelineRegistry } from '../../src/pipeline/registry.ts';
import { a, aFailure, aTask, listingPipeline, type TaskInTest, wayAfter } from './a-task.ts';

/** What one version of the engine has stored of tasks in every state, and what it made of them next. */
export interface GoldenFile {
  /** The package's version that wrote it. */
  readonly engine: string;
  readonly snapshotFormat: number;
  readonly commitFormat: number;
  readonly pipeline: string;
  readonly version: number;
  /** Of the pipeline: a change of the pipeline is none of the engine. */
  readonly fingerprint: string;
  readonly tasks: readonly GoldenTask[];
}

/** One task: its snapshot, its journal, and what follows from each message. */
export interface GoldenTask {
  readonly name: string;
  readonly state: string;
  /** MessagePack, base64. */
  readonly snapshot: string;
  readonly commit: string;
  /** When the next message comes. */
  readonly now: number;
  /** What each message of {@link nextMessages} makes of it. */
  readonly next: Readonly<Record<string, string>>;
}

const taskId = 't-1' as TaskId;
const stages = ['parse', 'photos', 'publish', 'announce'] as const;

/** The tasks of the corpus, by a name. */
const goldenTasks: Readonly<Record<string, () => TaskInTest>> = {
  ...Object.fromEntries(
    stages.flatMap((stage): readonly (readonly [string, () => TaskInTest])[] => [
      [`${stage} queued`, () => aTask().queued(stage)],
      [`${stage} running`, () => aTask().running(stage)],
      [`${stage} running, a second attempt`, () => aTask().running(stage, { attempt: 2 })],
      [`${stage} running, to be paused`, () => after(aTask().running(stage), a.pause())],
      [`${stage} running, with a checkpoint`, () => after(aTask().running(stage), a.checkpoint(stage))],
      [`${stage} backing off`, () => aTask().backingOff(stage)],
      [`${stage} held`, () => aTask().held(stage)],
      [`${stage} held in its backoff`, () => after(aTask().backingOff(stage), a.pause())],
      [`${stage} dead-lettered`, () => aTask().deadLettered(stage)],
      [`${stage} redriven`, () => after(aTask().deadLettered(stage), a.redrive())],
      [`${stage} handed over`, () => after(aTask().running(stage), a.release(stage, 1, true))],
      [`${stage} quarantined`, () => after(aTask().running(stage), a.quarantine())],
    ]),
  ),
  'parse after an interruption': () => after(aTask().running('parse'), a.ownerChange()),
  'parse cleared of one': () =>
    after(aTask().running('parse'), a.ownerChange(), a.grant('parse'), a.probation('parse', 2)),
  'publish unknown': () => aTask().unknown('publish'),
  'announce unknown': () => aTask().unknown('announce'),
  'announce unknown, its lookup cut off': () => after(aTask().unknown('announce'), a.ownerChange()),
  'announce unknown, its lookup knows nothing': () =>
    after(aTask().unknown('announce'), a.lookup('announce', 'unknown')),
  completed: () => aTask().completed(),
  canceled: () => aTask().canceled(),
  'canceled while it ran': () => after(aTask().running('photos'), a.cancel()),
};

function after(task: TaskInTest, ...messages: readonly ActorMessage[]): TaskInTest {
  for (const message of messages) task.send(message);
  return task;
}

/** What a task may be told next, right or wrong for its state. */
function nextMessages(state: TaskState): Readonly<Record<string, ActorMessage>> {
  const stage = state.stages.at(-1)?.stage ?? 'parse';
  const { attempt, dueAt } = state.machine.control;
  return {
    submit: a.submit(),
    pause: a.pause('c-next'),
    resume: a.resume('c-next'),
    cancel: a.cancel('c-next'),
    redrive: a.redrive('c-next'),
    'resolve notDone': a.resolve({ kind: 'notDone' }, 'c-next'),
    'resolve completed': a.resolve({ kind: 'completed', ...wayAfter(stage) }, 'c-next'),
    grant: a.grant(stage),
    completion: a.completion(stage, attempt),
    failure: a.failing(stage, attempt),
    'fatal failure': a.failing(stage, attempt, aFailure({ class: 'fatal' })),
    checkpoint: a.checkpoint(stage, attempt, 'next'),
    timer: a.timer(dueAt ?? 0),
    'lookup done': a.lookup(stage, 'done', attempt),
    'owner changed': a.ownerChange(),
    release: a.release(stage, attempt),
    probation: a.probation(stage, attempt),
  };
}

/** What the engine of this tree stores, for a new folder of the corpus. */
export function makeGoldenFile(engine: string): GoldenFile {
  const { name: pipeline, version, fingerprint } = listingPipeline;
  const tasks = Object.entries(goldenTasks).map(([name, come]): GoldenTask => {
    const task = come();
    const head = { format: commitFormat, epoch: 1 as Epoch, batch: 2, at: 2_000 } as const;
    const commit = assembleCommit(
      head,
      task.records.map((record) => encodeRecord(record)),
    );
    return {
      name,
      state: task.value,
      snapshot: textOf(encodeSnapshot(task.known)),
      commit: textOf(commit),
      now: task.now,
      next: nextOf(task.known, task.now),
    };
  });
  return { engine, snapshotFormat, commitFormat, pipeline, version, fingerprint, tasks };
}

/** The state in a stored snapshot, as the engine of this tree reads it. @throws EngineError as `decodeSnapshot` */
export function restoreGolden({ snapshot }: GoldenTask, registry = new PipelineRegistry([listingPipeline])): TaskState {
  return decodeSnapshot(taskId, bytesOf(snapshot), registry);
}

/** The state that a stored journal leads to. @throws EngineError `REPLAY_DIVERGED`, `RECORD_CORRUPT` */
export function replayGolden({ commit }: GoldenTask): TaskState | null {
  let state: TaskState | null = null;
  for (const record of decodeCommit(bytesOf(commit)).records) {
    state = replay({ definition: listingPipeline, state, record, dedupWindowSize: 32 });
  }
  return state;
}

/** What each message makes of a state: in words, with a hash of the whole decision. */
export function nextOf(state: TaskState, now: number): Readonly<Record<string, string>> {
  const task = aTask();
  task.state = state;
  task.now = now;
  return Object.fromEntries(
    Object.entries(nextMessages(state)).map(([name, message]) => [name, tell(task.decide(message))]),
  );
}

function tell(decision: Decision): string {
  switch (decision.kind) {
    case 'straggler':
      return `dropped: ${decision.reason}`;
    case 'answered':
      return decision.reply.kind === 'error' ? decision.reply.error.code : decision.reply.kind;
    case 'moved': {
      const { state, record, effects, reply } = decision;
      const { node: _node, ...machine } = state.machine;
      // As JSON has it: what is left out and what is undefined are one.
      const whole = JSON.parse(JSON.stringify({ state: { ...state, machine }, record, effects, reply })) as JsonValue;
      const names = effects.map(({ type }) => type).join(', ');
      return `${record.event.type} → ${record.to} [${names}] ${contentHash(whole).slice(0, 12)}`;
    }
    default:
      return unreachable(decision);
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}
