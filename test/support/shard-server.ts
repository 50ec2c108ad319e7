import { EngineError } from '../../src/core/errors.ts';
import type { ShardId } from '../../src/core/ids.ts';
import type { ShardCommand } from '../../src/core/messages.ts';
import type { Reply } from '../../src/core/replies.ts';
import { shardSubject } from '../../src/core/subjects.ts';
import type { Bus, BusRequest, BusService } from '../../src/ports/bus.ts';
import { AnswersInParts } from '../../src/transport/request-answers.ts';
import {
  decodeRequest,
  encodeRejection,
  encodeReplies,
  maximumMessageBytes,
} from '../../src/transport/request-codec.ts';

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
  readonly #isOlder: boolean;
  /** Every envelope so far, in order. */
  readonly envelopes: ReceivedEnvelope[] = [];

  /** @param isOlder - it answers all commands of a request together, as owners did before there were answers in parts */
  constructor(
    bus: Bus,
    answer: (command: ShardCommand, shard: ShardId) => Reply | Promise<Reply>,
    { isOlder = true }: { readonly isOlder?: boolean } = {},
  ) {
    this.#bus = bus;
    this.#answer = answer;
    this.#isOlder = isOlder;
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
      const isOlder = this.#isOlder || request.takesParts !== true;
      if (isOlder) void this.#handle(shard, request.body).then((body) => request.reply(body));
      else this.#handleInParts(shard, request);
    });
    this.#services.push(service);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.stop()));
  }

  #handleInParts(shard: ShardId, request: BusRequest): void {
    const decoded = decodeRequest(request.body);
    if (decoded.kind === 'rejected') return request.reply(encodeRejection(decoded.error));
    const answers = new AnswersInParts(request, decoded.commands.length, maximumMessageBytes);
    const commands = decoded.commands.filter((command) => !(command instanceof EngineError));
    this.envelopes.push({ shard, commands: commands as readonly ShardCommand[], sizeBytes: request.body.length });
    for (const [index, command] of decoded.commands.entries()) {
      const reply = command instanceof EngineError ? errorReplyOf(command) : this.#answer(command, shard);
      void Promise.resolve(reply).then((settled) => answers.add(index, settled));
    }
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
