import { unreachable } from '../core/errors.ts';
import type { NodeProcessMessage } from '../core/process-messages.ts';
import type { ProcessAction, ProcessEvent } from './process-actions.ts';
import { ProcessDraft, type DecisionContext } from './process-draft.ts';
import { decideExit } from './process-exit.ts';
import { advanceRoll, requestRoll, stopRoll } from './process-roll.ts';
import { beatIntervalMs, hasProcess, type KillReason, type Slot, type SupervisorState } from './process-state.ts';

/** A tick that comes later than this was not late by a busy moment: the supervisor itself was stopped. */
const awayAfterMs = 2 * beatIntervalMs;

/** What a supervisor makes of what it hears: its next state, and what it does. Pure. */
export function decideProcesses(
  state: SupervisorState,
  event: ProcessEvent,
  ctx: DecisionContext,
): readonly [SupervisorState, readonly ProcessAction[]] {
  const draft = new ProcessDraft(state, ctx);
  decide(draft, event);
  advanceRoll(draft);
  return draft.finish();
}

/** When time alone will change something next; no later than the next look for signs of life. */
export function nextTickMs({ slots }: SupervisorState, nowMs: number): number {
  const dues = slots.flatMap(({ phase }) => {
    if (phase.kind === 'waiting') return [phase.startAtMs];
    return phase.kind === 'draining' ? [phase.killAtMs] : [];
  });
  return Math.max(nowMs, Math.min(nowMs + beatIntervalMs, ...dues));
}

function decide(draft: ProcessDraft, event: ProcessEvent): void {
  switch (event.type) {
    case 'start':
      for (const { index } of draft.slots) draft.start(index);
      return;
    case 'pid':
      if (isNewest(draft, event)) draft.update(event.slot, { pid: event.pid });
      return;
    case 'message':
      if (isNewest(draft, event) && hasProcess(draft.slot(event.slot))) hear(draft, event.slot, event.message);
      return;
    case 'exit':
      if (isNewest(draft, event) && hasProcess(draft.slot(event.slot))) decideExit(draft, event.slot, event.exit);
      return;
    case 'garbled':
      if (isNewest(draft, event)) hearNonsense(draft, draft.slot(event.slot), event.problem);
      return;
    case 'tick':
      tick(draft, event.lateMs);
      return;
    case 'stop':
      if (!draft.isStopping) draft.stop({ kind: 'drained' });
      return;
    case 'abort':
      abort(draft);
      return;
    case 'fail':
      if (!draft.isStopping) draft.stop(event.outcome);
      return;
    case 'roll':
      requestRoll(draft);
      return;
    default:
      unreachable(event);
  }
}

function isNewest(draft: ProcessDraft, event: { readonly slot: number; readonly process: number }): boolean {
  return draft.slot(event.slot).process === event.process;
}

function hear(draft: ProcessDraft, index: number, message: NodeProcessMessage): void {
  const { nowMs } = draft.ctx;
  const { phase, nodeId, pid } = draft.slot(index);
  switch (message.type) {
    case 'node.hello':
      draft.update(index, { heardMs: nowMs });
      return;
    case 'node.life':
      draft.update(index, { heardMs: nowMs, incarnation: message.life.incarnation });
      return;
    case 'node.beat':
      draft.update(index, { heardMs: nowMs, beat: message.beat });
      return;
    case 'node.failed':
      draft.update(index, { heardMs: nowMs, failure: message.error });
      return;
    case 'node.metrics':
      return; // The shell hands them on.
    case 'node.ready':
      draft.update(index, { heardMs: nowMs, readiness: message.readiness });
      if (phase.kind !== 'starting') return;
      draft.update(index, { phase: { kind: 'ready' } });
      draft.actions.push({ type: 'up', slot: index, isUp: true });
      draft.log('info', { node: nodeId, child: pid }, 'a node process is ready');
      if (draft.phase === 'starting' && draft.slots.every((slot) => slot.phase.kind === 'ready')) draft.becomeReady();
      return;
    default:
      unreachable(message);
  }
}

function hearNonsense(draft: ProcessDraft, slot: Slot, problem: string): void {
  if (!hasProcess(slot) || slot.phase.kind === 'killed') return;
  draft.log(
    'error',
    { node: slot.nodeId, problem },
    'a node process says what cannot be read: a driver may have changed what all code of it uses',
  );
  kill(draft, slot, 'garbled', 'a node process says nonsense and is killed');
}

function tick(draft: ProcessDraft, lateMs: number): void {
  // A supervisor that was stopped or suspended has heard nobody: what they said is still to be read.
  if (lateMs > awayAfterMs) {
    draft.log(
      'warn',
      { lateMs: Math.round(lateMs) },
      'the supervisor was away; its node processes get their time anew',
    );
    for (const { index } of draft.slots.filter(hasProcess)) draft.update(index, { heardMs: draft.ctx.nowMs });
  }
  for (const slot of draft.slots) check(draft, slot);
  const { roll } = draft;
  const current = roll === null || roll.current === null ? null : draft.slot(roll.current);
  if (current?.phase.kind !== 'starting') return;
  if (draft.ctx.nowMs >= current.startedMs + draft.ctx.policy.rollReadyMs) stopRoll(draft, 'it is not ready in time');
}

function check(draft: ProcessDraft, slot: Slot): void {
  const { nowMs, policy } = draft.ctx;
  const { phase, index } = slot;
  if (phase.kind === 'waiting' && nowMs >= phase.startAtMs) draft.start(index);
  if (phase.kind !== 'starting' && phase.kind !== 'ready' && phase.kind !== 'draining') return;
  if (phase.kind === 'draining' && nowMs >= phase.killAtMs) {
    kill(draft, slot, 'overrun', 'a node process does not end within its grace and is killed');
    return;
  }
  const heardMs = slot.heardMs ?? slot.startedMs + policy.firstBeatMs;
  if (nowMs < heardMs + policy.hungAfterMs) return;
  kill(draft, slot, 'hung', 'a node process gives no sign of life and is killed');
}

function kill(draft: ProcessDraft, slot: Slot, why: KillReason, message: string): void {
  const { nodeId, pid, heardMs, beat, index } = slot;
  const silentMs = heardMs === null ? null : Math.round(draft.ctx.nowMs - heardMs);
  const fields = { node: nodeId, child: pid, silentMs, lastLoopLagMs: beat?.loopLagMs ?? null };
  draft.log('error', { ...fields, running: beat?.running ?? [] }, message);
  draft.update(index, { phase: { kind: 'killed', why } });
  draft.actions.push({ type: 'kill', slot: index });
  if (draft.isStopping) draft.worsen('unclean');
}

function abort(draft: ProcessDraft): void {
  if (!draft.isStopping) draft.stop({ kind: 'drained' });
  draft.worsen('aborted');
  for (const slot of draft.slots) {
    if (!hasProcess(slot) || slot.phase.kind === 'killed') continue;
    draft.update(slot.index, { phase: { kind: 'killed', why: 'abort' } });
    draft.actions.push({ type: 'kill', slot: slot.index });
  }
}
