import type { NodeProcessMessage, NodeProcessOrder } from '../../src/core/process-messages.ts';
import type { NodeProcess, NodeProcesses, NodeProcessListener, ProcessExit } from '../../src/ports/node-processes.ts';

/** A node process that is none: a test says what it tells and when it ends. */
export class MemoryProcess implements NodeProcess {
  readonly pid: number;
  readonly orders: NodeProcessOrder[] = [];
  wasKilled = false;
  readonly #listener: NodeProcessListener;

  constructor(pid: number, listener: NodeProcessListener) {
    this.pid = pid;
    this.#listener = listener;
  }

  send(order: NodeProcessOrder): void {
    this.orders.push(order);
  }

  kill(): void {
    this.wasKilled = true;
  }

  tell(message: NodeProcessMessage): void {
    this.say(message);
  }

  /** Says whatever it likes, as a process does that a driver has corrupted. */
  say(anything: unknown): void {
    this.#listener.onMessage(anything);
  }

  exit(exit: Partial<ProcessExit>): void {
    this.#listener.onExit({ code: null, signal: null, ...exit });
  }

  /** Starts as a node does, up to serving. */
  becomeReady(): void {
    this.tell({ type: 'node.hello' });
    this.tell({ type: 'node.life', life: { nodeId: 'n-1' as never, incarnation: `life-${this.pid}` } });
    this.tell({ type: 'node.ready', readiness: { natsUrl: 'nats://a', durability: 'power-loss' } });
  }

  beat(isReady = true): void {
    this.tell({ type: 'node.beat', beat: { loopLagMs: 4, isReady, running: [] } });
  }
}

/** Node processes in memory. */
export class MemoryProcesses implements NodeProcesses {
  readonly started: MemoryProcess[] = [];

  start(listener: NodeProcessListener): MemoryProcess {
    const process = new MemoryProcess(this.started.length + 100, listener);
    this.started.push(process);
    return process;
  }

  /** The newest one. */
  get last(): MemoryProcess {
    const last = this.started.at(-1);
    if (last === undefined) throw new Error('no process was started');
    return last;
  }
}
