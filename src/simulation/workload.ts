import type { CallOutcome } from '../checking/history-events.ts';
import type { Millis } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';
import type { Random } from '../ports/random.ts';
import type { ClientProcess, TaskOrder } from './client-process.ts';
import { OutsideWorld } from './outside-world.ts';
import type { Scheduler } from './scheduler.ts';
import type { SimulatedNode } from './simulated-node.ts';
import type { TaskTracker, TrackedTask } from './task-tracker.ts';

/** What is submitted: a task of a pipeline. */
export interface PlannedTask {
  readonly taskId: string;
  readonly pipeline: string;
  readonly input: JsonValue;
}

/** What a workload works on. */
export interface WorkloadDeps {
  readonly scheduler: Scheduler;
  /** The history's clock. */
  readonly now: () => Millis;
  readonly random: Random;
  readonly clients: readonly ClientProcess[];
  readonly tracker: TaskTracker;
  readonly world: OutsideWorld;
  readonly nodes: readonly SimulatedNode[];
  readonly namespace: string;
  readonly shardCount: number;
  /** Whether the world tells what became of a stage's effect: only then are outcomes resolved with it. */
  readonly knowsEffects: boolean;
}

/** Between two looks of the operators, at most. */
const operatorMs = 4_000;
const resultTimeoutMs = 60_000;
/** How much later a second operator sends what the first has sent. */
const lateOrderMs = 30_000;

/** What callers and operators do, at times of the seed: submits and their repeats, questions, commands, orders for nodes. */
export class Workload {
  readonly #deps: WorkloadDeps;
  readonly #submitted: PlannedTask[] = [];
  #open = 0;
  #isOver = false;
  #firstOrderAt: Millis | null = null;

  constructor(deps: WorkloadDeps) {
    this.#deps = deps;
  }

  /** Tasks that were submitted. */
  get submitted(): number {
    return this.#submitted.length;
  }

  /** Whether every caller has been answered. */
  get isQuiet(): boolean {
    return this.#open === 0;
  }

  /** When an operator first told nodes what they may own; null: never. Until that is taken back shards may be without an owner. */
  get firstOrderAt(): Millis | null {
    return this.#firstOrderAt;
  }

  /** Submits the tasks between now and then, and lets callers and operators come and go. */
  start(tasks: readonly PlannedTask[], forMs: number): void {
    const { random } = this.#deps;
    for (const task of tasks) this.#later(random.next() * forMs, 'submit', () => this.#follow(task));
    this.#operate();
  }

  /** No operator does anything from here on, but for what is under way. */
  end(): void {
    this.#isOver = true;
  }

  /** Takes every order for nodes and shards back: a cluster at rest has none. */
  async liftOrders(): Promise<void> {
    const client = this.#client().client.cluster;
    for (const { nodeId } of this.#deps.nodes) await this.#tryUntilDone(() => client.uncordon(nodeId));
    for (let shard = 0; shard < this.#deps.shardCount; shard += 1)
      await this.#tryUntilDone(() => client.unpinShard(shard));
  }

  async #tryUntilDone(call: () => Promise<unknown>): Promise<void> {
    for (let tries = 0; tries < 20; tries += 1) {
      try {
        await call();
        return;
      } catch {
        await this.#deps.scheduler.pause(1_000, 'orders');
      }
    }
  }

  /** One caller's way with one task. */
  async #follow(task: PlannedTask): Promise<void> {
    const { taskId, pipeline, input } = task;
    const caller = this.#client();
    this.#submitted.push(task);
    this.#maybeLater(0.2, 3_000, 'submit again', () => this.#client().submit(pipeline, taskId, input));
    this.#maybeLater(0.05, 8_000, 'submit another', () =>
      this.#client().submit(pipeline, taskId, this.#changed(input)),
    );
    this.#maybeLater(0.08, 10_000, 'cancel', () => this.#order(taskId, { kind: 'cancel' }));
    this.#maybeLater(0.1, 5_000, 'pause', () => this.#order(taskId, { kind: 'pause' }));
    this.#maybeLater(0.2, 10_000, 'get', () => this.#client().get(taskId));
    await caller.submit(pipeline, taskId, input);
    if (this.#deps.random.next() < 0.6) await caller.result(pipeline, taskId, resultTimeoutMs);
  }

  /** The operators: they look at what rests, and do something about some of it. */
  #operate(): void {
    const { scheduler, random } = this.#deps;
    scheduler.after(random.next() * operatorMs, 'operator', () => {
      if (this.#isOver) return;
      for (const task of this.#deps.tracker.inStatus('deadLettered', 'unknown', 'held')) {
        if (random.next() < 0.5) this.#later(0, 'operator', () => this.#lookAfter(task));
      }
      if (random.next() < 0.1) this.#later(0, 'list', () => this.#client().list());
      if (random.next() < 0.15) this.#later(0, 'order', () => this.#orderNode());
      this.#operate();
    });
  }

  /** Operators know nothing of each other: each order that sends work back names the state that its operator saw. */
  async #lookAfter(task: TrackedTask): Promise<CallOutcome | null> {
    const { taskId, status, stage, shard, epoch, seq: expectedSeq } = task;
    const { random, world, namespace, knowsEffects } = this.#deps;
    if (status === 'held') {
      return this.#order(taskId, { kind: random.next() < 0.9 ? 'resume' : 'cancel' });
    }
    const key = `${namespace}:${taskId}:${stage}`;
    const known = knowsEffects ? world.inspect(key, { shard, epoch }) : 'notDone';
    if (known === null) return null;
    if (status === 'deadLettered') {
      // A stage that cannot tell whether it has happened is not sent back blindly.
      return known === 'notDone' && random.next() < 0.7 ? this.#order(taskId, { kind: 'redrive', expectedSeq }) : null;
    }
    if (known === 'notDone' && random.next() < 0.3) return this.#order(taskId, { kind: 'redrive', expectedSeq });
    const output = OutsideWorld.receiptOf(key) as unknown as JsonValue;
    const resolution = known === 'done' ? ({ kind: 'completed', output } as const) : ({ kind: 'notDone' } as const);
    return this.#order(taskId, { kind: 'resolve', resolution, expectedSeq });
  }

  /** An order, which is sometimes given twice: the second has no effect. One for a state that was seen is sometimes given anew, late. */
  async #order(taskId: string, order: TaskOrder): Promise<CallOutcome> {
    const caller = this.#client();
    const commandId = caller.random.id();
    if (this.#deps.random.next() < 0.3) {
      this.#later(this.#deps.random.next() * 500, 'order again', () => this.#client().order(taskId, order, commandId));
    }
    if (order.expectedSeq !== undefined) {
      this.#maybeLater(0.2, lateOrderMs, 'late order', () => this.#client().order(taskId, order, caller.random.id()));
    }
    return caller.order(taskId, order, commandId);
  }

  async #orderNode(): Promise<void> {
    const { random, nodes, shardCount } = this.#deps;
    const { cluster } = this.#client().client;
    const node = nodes[Math.floor(random.next() * nodes.length)];
    if (node === undefined) return;
    const { nodeId } = node;
    const what = random.next();
    this.#firstOrderAt ??= this.#deps.now();
    try {
      if (what < 0.2) await cluster.cordon(nodeId);
      else if (what < 0.35) await cluster.drain(nodeId);
      else if (what < 0.7) await cluster.uncordon(nodeId);
      else if (what < 0.9) await cluster.moveShard(Math.floor(random.next() * shardCount), nodeId);
      else await cluster.unpinShard(Math.floor(random.next() * shardCount));
    } catch {
      // An order under faults may fail: whoever gives it is told so.
    }
  }

  #changed(input: JsonValue): JsonValue {
    return { ...(input as Readonly<Record<string, JsonValue>>), salt: 'another' };
  }

  #client(): ClientProcess {
    const { clients, random } = this.#deps;
    const client = clients[Math.floor(random.next() * clients.length)];
    if (client === undefined) throw new Error('a workload needs a client');
    return client;
  }

  #maybeLater(chance: number, withinMs: number, name: string, run: () => Promise<unknown>): void {
    const { random } = this.#deps;
    const isDue = random.next() < chance;
    const delayMs = random.next() * withinMs;
    if (isDue) this.#later(delayMs, name, run);
  }

  #later(delayMs: number, name: string, run: () => Promise<unknown>): void {
    this.#open += 1;
    this.#deps.scheduler.after(delayMs, name, () => {
      void run().finally(() => {
        this.#open -= 1;
      });
    });
  }
}
