import { setTimeout as sleep } from 'node:timers/promises';
import { connectClient, EngineError, TaskFailedError, type Client } from '../../src/client.ts';
import { contentHash } from '../../src/core/hash.ts';
import { parseJsonValue } from '../../src/core/json.ts';
import { CallLog } from './call-log.ts';
import { LoadCounts, type LoadFigures } from './load-figures.ts';
import { chaosInput, chaosPipeline, chargeStage } from './chaos-pipeline.ts';
import { machineMs } from './monotonic.ts';
import { serveOrders, tellParent } from './orders.ts';

// The callers of the engine as a process of its own, on a connection of its own. It submits at a steady rate, keeps every accepted
// id, awaits each result, and does what an operator would for outcomes that nobody knows.

/** What the load's process is started with. */
export interface LoadSettings {
  readonly servers: readonly string[];
  readonly namespace: string;
  readonly ledgerUrl: string;
  readonly seed: number;
  readonly tasksPerSecond: number;
  readonly maximumInFlight: number;
  /** Deadline of one submit. */
  readonly deadlineMs: number;
  /** Longest that a driver takes; the pipeline's own when left out. */
  readonly longestMs?: number;
}

/** What the load's process is asked. */
export type LoadOrder =
  | { readonly type: 'counts' }
  /** Every command that it sent. */
  | { readonly type: 'calls' }
  /** Submits so many at once, beside the steady ones. */
  | { readonly type: 'burst'; readonly count: number }
  /** Submits no more and waits so long until all that was accepted has ended. */
  | { readonly type: 'end'; readonly timeoutMs: number };

const tickMs = 20;
const retryWaitMs = 100;
const resultTimeoutMs = 20_000;
const operatorIntervalMs = 500;

const settings = JSON.parse(process.argv[2] ?? '{}') as LoadSettings;
const client: Client = await connectClient({
  servers: settings.servers,
  namespace: settings.namespace,
  name: 'chaos-load',
  connectTimeoutMs: 60_000,
});
const counts = new LoadCounts();
const log = new CallLog('load');
const state: { phase: 'running' | 'ending' | 'over'; lastNumber: number } = { phase: 'running', lastNumber: 0 };

serveOrders(async (order: LoadOrder) => {
  switch (order.type) {
    case 'counts':
      return counts.figures();
    case 'calls':
      return log.calls;
    case 'burst':
      for (let sent = 0; sent < order.count; sent += 1) void runTask();
      return null;
    case 'end':
      return end(order.timeoutMs);
    default:
      return order satisfies never;
  }
});
tellParent({ type: 'ready' });
void submitAtRate();
void operate();

async function end(timeoutMs: number): Promise<LoadFigures> {
  state.phase = 'ending';
  const untilMs = performance.now() + timeoutMs;
  while (counts.inFlight > 0 && performance.now() < untilMs) await sleep(tickMs);
  state.phase = 'over';
  return counts.figures();
}

/** An open loop up to the bound: what a tick could not send because too much was in flight is not sent later. */
async function submitAtRate(): Promise<void> {
  const startedMs = performance.now();
  let due = 0;
  while (state.phase === 'running') {
    const dueNow = Math.floor(((performance.now() - startedMs) * settings.tasksPerSecond) / 1_000);
    for (; due < dueNow; due += 1) {
      if (counts.inFlight < settings.maximumInFlight) void runTask();
      else counts.held += 1;
    }
    await sleep(tickMs);
  }
}

async function runTask(): Promise<void> {
  state.lastNumber += 1;
  const number = state.lastNumber;
  const taskId = `load-${number}`;
  counts.inFlight += 1;
  try {
    const startedMs = machineMs();
    if (!(await submit(taskId, number))) return;
    counts.accepted(taskId, startedMs, machineMs());
    if (await awaitEnd(taskId)) counts.ended(taskId, machineMs() - startedMs);
  } finally {
    counts.inFlight -= 1;
  }
}

/** Submits until it is accepted, as a caller does who needs the task done. @returns whether it was */
async function submit(taskId: string, number: number): Promise<boolean> {
  while (state.phase !== 'over') {
    const sentMs = performance.now();
    try {
      const input = chaosInput(settings, number);
      const { deadlineMs } = settings;
      await log.note(
        {
          kind: 'submit',
          task: taskId,
          pipeline: chaosPipeline.name,
          argumentsHash: contentHash(parseJsonValue(input, 'input')),
          deadlineMs,
        },
        () => client.submit(chaosPipeline, input, { taskId, deadlineMs }),
        ({ kind }) => ({ kind }),
      );
      return true;
    } catch (error) {
      counts.failedCall(codeOf(error), performance.now() - sentMs, settings.deadlineMs);
      if (!(error instanceof EngineError) || !error.retryable) return false;
      await sleep(retryWaitMs);
    }
  }
  return false;
}

async function awaitEnd(taskId: string): Promise<boolean> {
  while (state.phase !== 'over') {
    try {
      await client.result(chaosPipeline, taskId, { timeoutMs: resultTimeoutMs });
      return true;
    } catch (error) {
      if (error instanceof TaskFailedError) {
        counts.failedTask(taskId, error.message);
        return true;
      }
      const code = codeOf(error);
      // That a task takes long is no failure of the call.
      if (code !== 'DEADLINE_EXCEEDED') counts.failedWait(code);
      await sleep(retryWaitMs);
    }
  }
  return false;
}

/** The operator: asks the ledger about each task whose outcome is not known, under the fence of the owner that told of it. */
async function operate(): Promise<void> {
  while (state.phase !== 'over') {
    try {
      const { tasks } = await client.list({ status: 'unknown', limit: 200, deadlineMs: 5_000 });
      for (const { taskId, stage, shard, owner } of tasks) {
        if (stage !== chargeStage || owner === null) continue;
        const key = `${settings.namespace}:${taskId}:${chargeStage}`;
        const fence = { shard, epoch: owner.epoch, sequence: 0 };
        const body = JSON.stringify({ key, taskId, stage, attempt: 0, fence, mode: 'blind' });
        const answer = await fetch(`${settings.ledgerUrl}/lookup`, { method: 'POST', body });
        const known = (await answer.json()) as
          { readonly kind: 'done'; readonly output: { readonly receipt: string } } | { readonly kind: 'notDone' };
        const resolution =
          known.kind === 'done'
            ? ({ kind: 'completed', output: known.output } as const)
            : ({ kind: 'notDone' } as const);
        const deadlineMs = 5_000;
        await log.note(
          { kind: 'resolve', task: taskId, deadlineMs },
          () => client.resolve(taskId, resolution, { by: 'operator', deadlineMs }),
          ({ repeated }) => ({ kind: 'done', repeated }),
        );
        counts.resolved += 1;
      }
    } catch (error) {
      counts.failedWait(codeOf(error));
    }
    await sleep(operatorIntervalMs);
  }
}

function codeOf(error: unknown): string {
  return error instanceof EngineError ? error.code : String(error).slice(0, 80);
}
