import type { ErrorCode } from '../../src/core/errors.ts';
import { EngineError } from '../../src/core/errors.ts';
import type { NodeProcessMessage } from '../../src/core/process-messages.ts';
import type { ProcessAction, ProcessEvent } from '../../src/supervisor/process-actions.ts';
import { decideProcesses } from '../../src/supervisor/process-decisions.ts';
import {
  newSupervisor,
  processPolicyDefaults,
  type ProcessPolicy,
  type Slot,
  type SupervisorState,
} from '../../src/supervisor/process-state.ts';

/** A supervisor's decisions, event after event, without a process and without time that passes by itself. */
export class ProcessStory {
  readonly policy: ProcessPolicy;
  state: SupervisorState;
  nowMs = 1_000;
  /** Of the last event. */
  actions: readonly ProcessAction[] = [];
  readonly all: ProcessAction[] = [];

  constructor(count: number, policy: Partial<ProcessPolicy> = {}) {
    this.policy = { ...processPolicyDefaults, graceMs: 10_000, ...policy };
    this.state = newSupervisor({ baseId: 'n', count });
  }

  /** A supervisor whose nodes are all ready. */
  static running(count: number, policy: Partial<ProcessPolicy> = {}): ProcessStory {
    const story = new ProcessStory(count, policy);
    story.hear({ type: 'start' });
    for (let slot = 0; slot < count; slot += 1) story.becomeReady(slot);
    return story;
  }

  hear(event: ProcessEvent): readonly ProcessAction[] {
    const ctx = { policy: this.policy, nowMs: this.nowMs, now: this.nowMs, random: 0 };
    [this.state, this.actions] = decideProcesses(this.state, event, ctx);
    this.all.push(...this.actions);
    return this.actions;
  }

  slot(index: number): Slot {
    return this.state.slots[index] as Slot;
  }

  tell(slot: number, message: NodeProcessMessage, process = this.slot(slot).process): readonly ProcessAction[] {
    return this.hear({ type: 'message', slot, process, message });
  }

  becomeReady(slot: number): readonly ProcessAction[] {
    this.tell(slot, {
      type: 'node.life',
      life: { nodeId: this.slot(slot).nodeId as never, incarnation: `life-${slot}-${this.slot(slot).process}` },
    });
    return this.tell(slot, { type: 'node.ready', readiness: { natsUrl: 'nats://a', durability: 'power-loss' } });
  }

  beat(slot: number): readonly ProcessAction[] {
    return this.tell(slot, {
      type: 'node.beat',
      beat: { loopLagMs: 3, isReady: true, running: [{ shard: 7, stages: 1 }] },
    });
  }

  fail(slot: number, code: ErrorCode, message = 'the reason'): readonly ProcessAction[] {
    return this.tell(slot, { type: 'node.failed', error: new EngineError(code, message).toReport() });
  }

  exit(
    slot: number,
    code: number | null,
    signal: string | null = null,
    process = this.slot(slot).process,
  ): readonly ProcessAction[] {
    return this.hear({ type: 'exit', slot, process, exit: { code, signal } });
  }

  /** Lets time pass, with a look every second, as the shell does; those named give signs of life meanwhile. */
  pass(spanMs: number, alive: readonly number[] = []): void {
    for (let leftMs = spanMs; leftMs > 0; leftMs -= 1_000) {
      this.nowMs += Math.min(1_000, leftMs);
      for (const slot of alive) this.beat(slot);
      this.hear({ type: 'tick', lateMs: 0 });
    }
  }

  /** What was done of one kind since the start. */
  done<Type extends ProcessAction['type']>(type: Type): readonly Extract<ProcessAction, { type: Type }>[] {
    return this.all.filter((action) => action.type === type) as Extract<ProcessAction, { type: Type }>[];
  }

  logged(message: string): boolean {
    return this.done('log').some((action) => action.message.includes(message));
  }

  phases(): readonly string[] {
    return this.state.slots.map(({ phase }) => phase.kind);
  }
}
