import { EngineError } from '../../src/core/errors.ts';
import type { ShardId } from '../../src/core/ids.ts';
import type { ShardCommand } from '../../src/core/messages.ts';
import type { Reply } from '../../src/core/replies.ts';
import { shardSubject } from '../../src/core/subjects.ts';
import type { Bus, BusService } from '../../src/ports/bus.ts';
import { decodeRequest, encodeRejection, encodeReplies } from '../../src/transport/request-codec.ts';

/** An envelope as a shard received it. */
export interface ReceivedEnvelope {
  readonly shard: ShardId;
  readonly commands: readonly ShardCommand[];
  readonly sizeBytes: number;
}

/** Serves shards with scripted answers, through the real codec. */
export class ShardServer {
  readonly #bus: Bus;
  readonly #answer: (command: ShardCommand, shard: ShardId) => Reply | Promise<Reply>;
  readonly #services: BusService[] = [];
  /** Every envelope so far, in order. */
  readonly envelopes: ReceivedEnvelope[] = [];

  constructor(bus: Bus, answer: (command: ShardCommand, shard: ShardId) => Reply | Promise<Reply>) {
    this.#bus = bus;
    this.#answer = answer;
  }

  /** The commands of all envelopes so far, in order. */
  get commands(): readonly ShardCommand[] {
    return this.envelopes.flatMap((envelope) => envelope.commands);
  }

  async serve(namespace: string, shardCount: number): Promise<this> {
    for (let shard = 0; shard < shardCount; shard += 1) await this.serveShard(namespace, shard as ShardId);
    return this;
  }

  async serveShard(namespace: string, shard: ShardId): Promise<void> {
    const service = await this.#bus.serve(shardSubject(namespace, shard), (request) => {
      void this.#handle(shard, request.body).then((body) => request.reply(body));
    });
    this.#services.push(service);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.stop()));
  }

  async #handle(shard: ShardId, body: Uint8Array): Promise<Uint8Array> {
    const decoded = decodeRequest(body);
    if (decoded.kind === 'rejected') return encodeRejection(decoded.error);
    const commands = decoded.commands.filter((command) => !(command instanceof EngineError));
    this.envelopes.push({ shard, commands: commands as readonly ShardCommand[], sizeBytes: body.length });
    const replies = decoded.commands.map(async (command) =>
      command instanceof EngineError ? errorReplyOf(command) : this.#answer(command, shard),
    );
    return encodeReplies(await Promise.all(replies));
  }
}

/** An error as the owner answers it. */
export function errorReplyOf(error: EngineError): Reply {
  return { kind: 'error', error: error.toReport() };
}
