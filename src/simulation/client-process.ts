import type { CallEvent, CallKind, CallOutcome } from '../checking/history-events.ts';
import { Client } from '../client/client.ts';
import { EngineError, type ErrorCode } from '../core/errors.ts';
import { contentHash } from '../core/hash.ts';
import type { JsonValue } from '../core/json.ts';
import type { OperatorResolution } from '../core/messages.ts';
import { SeededRandom } from '../platform/seeded-random.ts';
import type { Random } from '../ports/random.ts';
import { Connection } from './connection.ts';
import { SimulatedBus } from './simulated-bus.ts';
import { SimulatedProcess } from './simulated-process.ts';
import { StoreClient } from './store-client.ts';
import { serverMachines, type WorldParts } from './world-parts.ts';

/** A command of an operator or caller to one task. */
export type TaskOrder = (
  | { readonly kind: 'pause' | 'resume' | 'cancel' | 'redrive' }
  | { readonly kind: 'resolve'; readonly resolution: OperatorResolution }
) & {
  /** The task's `seq` that its operator saw; left out: it is meant whatever the task has come to. */
  readonly expectedSeq?: number;
};

const deadlineMs = 10_000;

/** A process that uses the engine by its real client; every call is recorded. */
export class ClientProcess {
  readonly client: Client;
  readonly process: SimulatedProcess;
  readonly random: Random;
  readonly #parts: WorldParts;
  readonly #open = new Map<string, CallEvent>();
  #calls = 0;
  /** Errors that a caller must not see from a sound engine, with the call. */
  readonly surprises: string[] = [];

  constructor(parts: WorldParts, name: string) {
    this.#parts = parts;
    const { scheduler, network, startAt, config, store: server, log } = parts;
    this.process = new SimulatedProcess(scheduler, { name, machine: name, startAt, clockRate: 1 });
    this.random = new SeededRandom(parts.nextSeed());
    const { namespace, shardCount } = config;
    const logger = log.loggerOf(name);
    const connect = (machine: string): Connection =>
      new Connection({ network, process: this.process, server: machine });
    const store = new StoreClient({ server, connection: connect(serverMachines.store), logger, namespace });
    this.client = new Client({
      bus: new SimulatedBus({ server: parts.bus, connection: connect(serverMachines.bus), logger }),
      clock: this.process.clock,
      random: this.random,
      namespace,
      shardCount,
      journal: store.journal,
      blobs: store.blobs,
      leases: store.leases,
      deadlineMs,
    });
  }

  /** Calls that have no answer yet. */
  get openCalls(): number {
    return this.#open.size;
  }

  submit(pipeline: string, taskId: string, input: JsonValue): Promise<CallOutcome> {
    return this.#call('submit', taskId, { pipeline, argumentsHash: contentHash(input), deadlineMs }, async () => {
      const { kind, taskId: answeredTask } = await this.client.submit(pipeline, input, { taskId });
      return [{ kind }, answeredTask];
    });
  }

  order(taskId: string, order: TaskOrder, commandId: string): Promise<CallOutcome> {
    const { expectedSeq } = order;
    const seen = expectedSeq === undefined ? {} : { expectedSeq };
    return this.#call(order.kind, taskId, { commandId, ...seen, deadlineMs }, async () => {
      const options = { commandId, ...seen };
      const { client } = this;
      const controlled = await (order.kind === 'resolve'
        ? client.resolve(taskId, order.resolution, options)
        : client[order.kind](taskId, options));
      return [{ kind: 'done', repeated: controlled.repeated }, controlled.taskId];
    });
  }

  get(taskId: string): Promise<CallOutcome> {
    return this.#call('get', taskId, { deadlineMs }, async () => {
      const task = await this.client.get(taskId);
      return [{ kind: 'answer', state: task.state }, task.taskId];
    });
  }

  result(pipeline: string, taskId: string, timeoutMs: number): Promise<CallOutcome> {
    return this.#call('result', taskId, { pipeline }, async () => {
      await this.client.result(pipeline, taskId, { timeoutMs });
      return [{ kind: 'answer', state: 'completed' }, taskId];
    });
  }

  list(): Promise<CallOutcome> {
    return this.#call('list', '', { deadlineMs }, async () => {
      await this.client.list({ limit: 50, includeFinished: true });
      return [{ kind: 'answer' }, ''];
    });
  }

  /** Tells the calls that are without an answer when all is over. */
  finish(): void {
    for (const call of this.#open.values()) this.#parts.record(call);
    this.#open.clear();
  }

  async #call(
    kind: CallKind,
    task: string,
    details: Pick<CallEvent, 'pipeline' | 'commandId' | 'expectedSeq' | 'argumentsHash' | 'deadlineMs'>,
    make: () => Promise<readonly [outcome: CallOutcome, task: string]>,
  ): Promise<CallOutcome> {
    this.#calls += 1;
    const client = this.process.name;
    const call = `${client} ${this.#calls}`;
    const invokedAt = this.#parts.now();
    const invoked: CallEvent = {
      type: 'call',
      client,
      call,
      kind,
      task,
      ...details,
      invokedAt,
      answeredAt: null,
      outcome: { kind: 'none' },
    };
    this.#open.set(call, invoked);
    let outcome: CallOutcome;
    let answeredTask: string | undefined;
    try {
      [outcome, answeredTask] = await make();
    } catch (thrown) {
      outcome = { kind: 'error', code: this.#codeOf(thrown, call) };
    }
    this.#open.delete(call);
    const answered = { ...invoked, answeredAt: this.#parts.now(), outcome };
    this.#parts.record(answeredTask === undefined || task === '' ? answered : { ...answered, answeredTask });
    return outcome;
  }

  #codeOf(thrown: unknown, call: string): ErrorCode {
    if (thrown instanceof EngineError) {
      if (thrown.code === 'INTERNAL') this.surprises.push(`${call}: ${thrown.message}`);
      return thrown.code;
    }
    this.surprises.push(`${call}: ${String(thrown)}`);
    return 'INTERNAL';
  }
}
