import { assert } from '../core/errors.ts';
import type { LogFields } from '../ports/logger.ts';
import type { ProcessAction } from './process-actions.ts';
import { hasProcess, type ProcessPolicy, type Roll, type Slot, type StopOutcome } from './process-state.ts';
import type { SupervisorState } from './process-state.ts';

/** What a decision is made by, beside state and event. */
export interface DecisionContext {
  readonly policy: ProcessPolicy;
  /** Monotonic. */
  readonly nowMs: number;
  /** By the wall clock. */
  readonly now: number;
  /** In [0, 1). */
  readonly random: number;
}

/** A next state in the making, with what is to be done; seen by one decision only, so that this stays pure from outside. */
export class ProcessDraft {
  readonly ctx: DecisionContext;
  readonly actions: ProcessAction[] = [];
  roll: Roll | null;
  #phase: SupervisorState['phase'];
  #outcome: StopOutcome | null;
  readonly #slots: Slot[];

  constructor(state: SupervisorState, ctx: DecisionContext) {
    this.ctx = ctx;
    this.roll = state.roll;
    this.#phase = state.phase;
    this.#outcome = state.outcome;
    this.#slots = [...state.slots];
  }

  get phase(): SupervisorState['phase'] {
    return this.#phase;
  }

  get slots(): readonly Slot[] {
    return this.#slots;
  }

  get isStopping(): boolean {
    return this.#phase === 'stopping' || this.#phase === 'ended';
  }

  slot(index: number): Slot {
    const slot = this.#slots[index];
    assert(slot !== undefined, () => `supervisor: there is no slot ${index}`);
    return slot;
  }

  update(index: number, change: Partial<Slot>): void {
    this.#slots[index] = { ...this.slot(index), ...change };
  }

  log(level: 'info' | 'warn' | 'error', fields: LogFields, message: string): void {
    this.actions.push({ type: 'log', level, fields, message });
  }

  /** Starts the next process of a slot. */
  start(index: number): void {
    const process = this.slot(index).process + 1;
    this.update(index, {
      phase: { kind: 'starting' },
      process,
      pid: null,
      incarnation: null,
      startedMs: this.ctx.nowMs,
      startedAt: this.ctx.now,
      heardMs: null,
      beat: null,
      readiness: null,
      failure: null,
    });
    this.actions.push({ type: 'start', slot: index, process });
  }

  /** Lets a process end in good order, and notes until when. */
  drain(index: number, why: 'roll' | 'stop'): void {
    const { graceMs, graceMarginMs } = this.ctx.policy;
    this.update(index, {
      phase: { kind: 'draining', for: why, killAtMs: this.ctx.nowMs + graceMs + graceMarginMs },
    });
    this.actions.push({ type: 'send', slot: index, order: { type: 'node.drain', graceMs } });
  }

  /** All nodes serve for the first time. */
  becomeReady(): void {
    this.#phase = 'running';
    this.actions.push({ type: 'ready' });
  }

  /** From now on nothing is started; every process drains. */
  stop(outcome: StopOutcome): void {
    this.#phase = 'stopping';
    this.#outcome = outcome;
    this.roll = null;
    for (const slot of this.#slots) {
      if (!hasProcess(slot)) this.update(slot.index, { phase: { kind: 'ended' } });
      else if (slot.phase.kind !== 'killed') this.drain(slot.index, 'stop');
    }
    this.finishStop();
  }

  /** A drain that was not clean, and an end at once, change how a stop that nothing had failed before comes out. */
  worsen(kind: 'unclean' | 'aborted'): void {
    if (this.#outcome?.kind === 'drained' || this.#outcome?.kind === 'unclean') this.#outcome = { kind };
  }

  /** The end, when the last process has gone. */
  finishStop(): void {
    if (this.#phase !== 'stopping' || this.#slots.some(hasProcess)) return;
    assert(this.#outcome !== null, () => 'supervisor: a stop without an outcome');
    this.#phase = 'ended';
    this.actions.push({ type: 'ended', outcome: this.#outcome });
  }

  finish(): readonly [SupervisorState, readonly ProcessAction[]] {
    return [{ phase: this.#phase, outcome: this.#outcome, slots: this.#slots, roll: this.roll }, this.actions];
  }
}
