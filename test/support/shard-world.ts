import type { CommandId, ShardId } from '../../src/core/ids.ts';
import type { ShardCommand } from '../../src/core/messages.ts';
import type { Reply } from '../../src/core/replies.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';
import type { Engine, EngineDeps } from '../../src/supervisor/engine.ts';
import { TestEngine, type TestEngineOptions } from '../../src/testing.ts';
import { shard, taskOf } from './shard-kit.ts';

type Deliver = (command: ShardCommand, respond: (reply: Reply) => void) => void;

/** A command that was handed to a shard, with its answers so far: one at most, if all is well. */
export interface Sent {
  readonly replies: Reply[];
}

/**
 * An engine without a bus: commands go straight to its shards, in the turn of the test that sends them, and nobody repeats
 * one that is refused.
 */
export class ShardWorld {
  readonly test: TestEngine;
  /** Everything that was sent, for {@link unanswered}. */
  readonly sent: Sent[] = [];
  /** Who serves each shard, the last one at the end: one that stops leaves those that served before it. */
  readonly #services = new Map<ShardId, Deliver[]>();
  #commands = 0;

  constructor(options: TestEngineOptions) {
    this.test = TestEngine.create(options);
  }

  /** A world with one engine that serves. */
  static async start(options: TestEngineOptions, overrides: Partial<EngineDeps> = {}): Promise<[ShardWorld, Engine]> {
    const world = new ShardWorld(options);
    const engine = world.engine('node-1', overrides);
    await world.test.run(engine.start());
    return [world, engine];
  }

  get clock(): TestEngine['clock'] {
    return this.test.clock;
  }

  /** An engine of this world, not started; the one that served a shard last gets its commands. */
  engine(nodeId: string, overrides: Partial<EngineDeps> = {}, pipelines?: readonly PipelineDefinition[]): Engine {
    return this.test.createEngine(nodeId, pipelines, {
      serve: (ofShard, deliver) => {
        this.#services.set(ofShard, [...(this.#services.get(ofShard) ?? []), deliver]);
        return Promise.resolve({
          stop: () => {
            this.#services.set(ofShard, this.#services.get(ofShard)?.filter((one) => one !== deliver) ?? []);
            return Promise.resolve();
          },
        });
      },
      ...overrides,
    });
  }

  /** Hands a command to the shard now. */
  send(command: ShardCommand, ofShard: ShardId = shard): Sent {
    const sent: Sent = { replies: [] };
    this.sent.push(sent);
    const deliver = this.#services.get(ofShard)?.at(-1);
    if (deliver === undefined) throw new Error(`nobody serves shard ${ofShard}`);
    deliver(command, (reply) => sent.replies.push(reply));
    return sent;
  }

  submit(id: string, input: unknown = id, pipeline = 'card', version?: number): Sent {
    const fields = { taskId: taskOf(id), commandId: this.#commandId(), pipeline, input: input as string };
    return this.send({ type: 'task.submit', ...fields, ...(version === undefined ? {} : { version }) });
  }

  /** A pause, resume, cancel or redrive. */
  control(name: 'pause' | 'resume' | 'cancel' | 'redrive', id: string, commandId = this.#commandId()): Sent {
    return this.send({ type: `task.${name}`, taskId: taskOf(id), commandId });
  }

  get(id: string): Sent {
    return this.send({ type: 'task.get', taskId: taskOf(id) });
  }

  result(id: string, waitMs = 60_000): Sent {
    return this.send({ type: 'task.result', taskId: taskOf(id), waitMs });
  }

  /** Runs virtual time until it is answered. */
  async answer(sent: Sent, maxVirtualMs?: number): Promise<Reply> {
    await this.clock.runUntil(() => sent.replies.length > 0, maxVirtualMs === undefined ? {} : { maxVirtualMs });
    return sent.replies[0] as Reply;
  }

  /** Runs virtual time until the task has that state, such as `parse.backingOff`. */
  async untilState(id: string, state: string): Promise<void> {
    for (let asked = 0; asked < 1_000; asked += 1) {
      const reply = await this.answer(this.get(id));
      if (reply.kind === 'task' && reply.task.state === state) return;
      if (!(await this.clock.advanceToNextTimer())) break;
    }
    throw new Error(`task ${id} does not come to ${state}`);
  }

  /** Commands without an answer. */
  get unanswered(): number {
    return this.sent.filter(({ replies }) => replies.length === 0).length;
  }

  #commandId(): CommandId {
    this.#commands += 1;
    return `c-${this.#commands}` as CommandId;
  }
}

/** What became of a command in one word: the kind of its reply, or the code of its error; undefined without one. */
export function outcomeOf({ replies }: Sent): string | undefined {
  const [reply] = replies;
  return reply?.kind === 'error' ? reply.error.code : reply?.kind;
}
