import { decide, type DecideContext, type Decision } from '../src/actors/decide.ts';
import { evolve } from '../src/actors/evolve.ts';
import type { ActorMessage } from '../src/actors/messages.ts';
import { decodeSnapshot, encodeSnapshot } from '../src/actors/snapshot-codec.ts';
import type { TaskState } from '../src/actors/task-state.ts';
import { assembleCommit, decodeCommit, encodeRecord } from '../src/core/commit-codec.ts';
import { configDefaults } from '../src/core/config.ts';
import { contentHash } from '../src/core/hash.ts';
import type { CommandId, Epoch, TaskId } from '../src/core/ids.ts';
import { copyJson } from '../src/core/json.ts';
import type { ShardCommand } from '../src/core/messages.ts';
import type { TaskRecord } from '../src/core/records.ts';
import { PipelineRegistry } from '../src/pipeline/registry.ts';
import { decodeReplies, decodeRequest, encodeReplies, encodeRequest } from '../src/transport/request-codec.ts';
import { workload, workloadInput } from './workload.ts';

/** One call; what it returns is there to be looked at. */
export type HotFunction = () => unknown;

/** Records of one commit, and commands of one request: about what the load of the throughput bench makes. */
const batchSize = 32;

const taskId = '0192f0c1-7b1a-7c3e-9a58-6d1c2f3e4a5b' as TaskId;
const commandId = '0192f0c1-7b1a-7c3e-9a58-6d1c2f3e4a5c' as CommandId;
const context: DecideContext = {
  taskId,
  now: 1_700_000_000_000,
  epoch: 1 as Epoch,
  definition: workload,
  mayStart: () => true,
  config: configDefaults,
};
const head = { format: 1, epoch: 1 as Epoch, batch: 1, at: context.now } as const;

/** The hot path's pure functions on the bench's own workload, each ready to be called. */
export function hotFunctions(): Readonly<Record<string, HotFunction>> {
  const input = copyJson(workloadInput(1), 'input').value;
  const result = copyJson({ ok: true, note: 'x'.repeat(170) }, 'output').value;
  const submit = { taskId, commandId, type: 'task.submit', pipeline: 'bench', version: 1, input } as ShardCommand;
  const [first, second, third] = workload.stages.map(({ name }) => name);
  if (first === undefined || second === undefined || third === undefined) throw new Error('the workload has no stages');
  const accept: ActorMessage = {
    type: 'task.submit',
    taskId,
    commandId,
    definition: workload,
    input: { json: input },
    inputHash: contentHash(input),
    next: first,
    skipped: [],
  };
  const completed = (stage: typeof first, next: typeof first): ActorMessage => ({
    type: 'stage.settled',
    stage,
    attempt: 1,
    result: { kind: 'completed', output: { json: result }, next, skipped: [] },
  });
  const accepted = moved(decide(null, accept, context));
  const midway = moved(decide(accepted.state, completed(first, second), context));
  const settle = completed(second, third);
  const { record } = moved(decide(midway.state, settle, context));
  const encoded = Array.from({ length: batchSize }, () => encodeRecord(record));
  const commit = assembleCommit(head, encoded);
  const snapshot = encodeSnapshot(midway.state);
  const registry = new PipelineRegistry([workload]);
  const commands = Array.from({ length: batchSize }, () => submit);
  const request = encodeRequest(commands);
  const { reply } = accepted;
  if (reply === null) throw new Error('a submit has an answer');
  const replies = Array.from({ length: batchSize }, () => reply);
  const answer = encodeReplies(replies);
  return {
    'decide submit': () => decide(null, accept, context),
    'decide stage end': () => decide(midway.state, settle, context),
    'evolve stage end': () =>
      evolve({
        definition: workload,
        taskId,
        state: midway.state,
        event: record.event,
        at: context.now,
        dedupWindowSize: configDefaults.dedupWindowSize,
      }),
    encodeRecord: () => encodeRecord(record),
    [`assembleCommit ${batchSize}`]: () => assembleCommit(head, encoded),
    [`decodeCommit ${batchSize}`]: () => decodeCommit(commit),
    encodeSnapshot: () => encodeSnapshot(midway.state),
    decodeSnapshot: () => decodeSnapshot(taskId, snapshot, registry),
    'copyJson result': () => copyJson({ ok: true, note: 'x'.repeat(170) }, 'output'),
    'copyJson input': () => copyJson(input, 'input'),
    [`encodeRequest ${batchSize}`]: () => encodeRequest(commands),
    [`decodeRequest ${batchSize}`]: () => decodeRequest(request),
    [`encodeReplies ${batchSize}`]: () => encodeReplies(replies),
    [`decodeReplies ${batchSize}`]: () => decodeReplies(answer, batchSize),
  };
}

function moved(decision: Decision): {
  readonly state: TaskState;
  readonly record: TaskRecord;
  readonly reply: ReplyOf;
} {
  if (decision.kind !== 'moved') throw new Error(`the workload did not move: ${decision.kind}`);
  return decision;
}

type ReplyOf = Extract<Decision, { kind: 'moved' }>['reply'];
