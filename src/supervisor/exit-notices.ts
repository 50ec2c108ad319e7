import { encodeNodeMessage, type NodeLife } from '../core/node-messages.ts';
import { clusterSubject } from '../core/subjects.ts';
import type { Bus } from '../ports/bus.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';

/** When a notice is sent again: one that nobody got must not cost the others their heartbeats. */
const repeatAfterMs = [100, 300, 800, 1_800] as const;
/** Nobody answers a notice: how long the bus keeps it in mind. */
const noticeTimeoutMs = 1;

/** Tells all nodes that a node's process has ended, the moment it is known, and some times more. */
export class ExitNotices {
  readonly #deps: { readonly bus: Bus; readonly clock: Clock; readonly namespace: string };
  readonly #timers = new Set<TimerHandle>();

  constructor(deps: { readonly bus: Bus; readonly clock: Clock; readonly namespace: string }) {
    this.#deps = deps;
  }

  tellExited(life: NodeLife): void {
    this.#send(life);
    for (const delayMs of repeatAfterMs) {
      const timer = this.#deps.clock.setTimer(delayMs, () => {
        this.#timers.delete(timer);
        this.#send(life);
      });
      this.#timers.add(timer);
    }
  }

  /** Repeats nothing from now on. */
  close(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  #send(life: NodeLife): void {
    const { bus, namespace } = this.#deps;
    void bus.request(clusterSubject(namespace, 'exited'), encodeNodeMessage(life), { timeoutMs: noticeTimeoutMs });
  }
}
