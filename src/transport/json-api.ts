import { asError, EngineError } from '../core/errors.ts';
import type { ControlCommand, ListQuery, SubmitCommand } from '../core/messages.ts';
import type { Reply } from '../core/replies.ts';
import { apiSubject } from '../core/subjects.ts';
import { parseTraceparent } from '../core/traceparent.ts';
import type { Bus, BusRequest } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Random } from '../ports/random.ts';
import {
  type ApiRequest,
  parseApiRequest,
  parseControlRequest,
  parseListRequest,
  parseQueryRequest,
  parseSubmitItems,
  parseSubmitRequest,
} from './api-requests.ts';
import type { EngineInfo, PipelineSummary } from './engine-info.ts';
import { encodeJson, MicroService } from './micro-service.ts';
import { parseFields, refuseUnknownFields } from './parse-command.ts';
import { expectReply } from './reply-reading.ts';
import { traceHeader } from './trace-headers.ts';
import { maximumMessageBytes } from './request-codec.ts';
import type { ShardClient } from './shard-client.ts';
import { listTasks, type TaskPage } from './task-list.ts';

/** A dead-letter view for the `dead-letters` endpoint; without one it is answered from the shards' owners. */
export type DeadLetterQuery = Pick<ListQuery, 'pipeline' | 'limit' | 'after'>;

const controlTypes = {
  pause: 'task.pause',
  resume: 'task.resume',
  cancel: 'task.cancel',
  redrive: 'task.redrive',
  resolve: 'task.resolve',
} as const satisfies Record<string, ControlCommand['type']>;

const noFields: ReadonlySet<string> = new Set();
/** What a `result` request may take beyond the wait that it asks for. */
const resultMarginMs = 5_000;

/**
 * The engine for any language: a NATS micro service with JSON in and out, on every node.
 *
 * It owns nothing: a request goes through the same client, to the same owner, as one of the typed client's. An error is
 * `{ error: ErrorReport }`, with the micro service protocol's error headers.
 */
export class JsonApi {
  readonly #shardClient: ShardClient;
  readonly #random: Random;
  readonly #info: () => EngineInfo;
  readonly #pipelines: () => readonly PipelineSummary[];
  readonly #deadLetters: (query: DeadLetterQuery, deadlineMs: number) => Promise<unknown>;
  readonly #logger: Logger;
  readonly #maximumRequestBytes: number;
  readonly #service: MicroService;

  constructor(deps: {
    readonly bus: Bus;
    readonly clock: Clock;
    readonly random: Random;
    readonly shardClient: ShardClient;
    readonly namespace: string;
    readonly node: string;
    /** The engine's semantic version. */
    readonly version: string;
    readonly info: () => EngineInfo;
    readonly pipelines: () => readonly PipelineSummary[];
    readonly deadLetters?: ((query: DeadLetterQuery) => Promise<unknown>) | undefined;
    readonly logger: Logger;
    readonly metrics: Metrics;
    readonly maximumRequestBytes?: number | undefined;
  }) {
    this.#shardClient = deps.shardClient;
    this.#random = deps.random;
    this.#info = deps.info;
    this.#pipelines = deps.pipelines;
    this.#deadLetters =
      deps.deadLetters ??
      ((query, deadlineMs) => listTasks(this.#shardClient, { ...query, status: 'deadLettered' }, { deadlineMs }));
    this.#logger = deps.logger;
    this.#maximumRequestBytes = deps.maximumRequestBytes ?? maximumMessageBytes;
    this.#service = new MicroService({
      bus: deps.bus,
      clock: deps.clock,
      identity: {
        name: 'cabinet',
        id: deps.random.id(),
        version: deps.version,
        description: 'Cabinet Pipeline: durable pipelines of single-owner actors',
        metadata: { node: deps.node, namespace: deps.namespace },
      },
      endpoints: Object.entries(this.#handlers()).map(([name, handle]) => ({
        name,
        subject: apiSubject(deps.namespace, name),
        handle: (request) => this.#handle(handle, request),
      })),
      toError: (thrown) => this.#toError(thrown),
      logger: deps.logger,
      metrics: deps.metrics,
    });
  }

  /** Serves the endpoints. */
  start(): Promise<void> {
    return this.#service.start();
  }

  /** Stops serving; requests in hand are still answered. */
  stop(): Promise<void> {
    return this.#service.stop();
  }

  #handlers(): Readonly<Record<string, (request: ApiRequest) => Promise<unknown>>> {
    const control = (type: ControlCommand['type']) => (request: ApiRequest) => this.#control(type, request);
    return {
      submit: (request) => this.#submit(request),
      'submit-many': (request) => this.#submitMany(request),
      get: (request) => this.#get(request),
      result: (request) => this.#result(request),
      list: (request) => this.#list(request),
      ...Object.fromEntries(Object.entries(controlTypes).map(([name, type]) => [name, control(type)])),
      info: async ({ fields }) => {
        refuseUnknownFields(fields, noFields, 'info');
        return this.#info();
      },
      pipelines: async ({ fields }) => {
        refuseUnknownFields(fields, noFields, 'pipelines');
        return { pipelines: this.#pipelines() };
      },
      'dead-letters': (request) => this.#listDeadLetters(request),
    };
  }

  async #handle(handle: (request: ApiRequest) => Promise<unknown>, request: BusRequest): Promise<Uint8Array> {
    const traceparent = parseTraceparent(request.headers.get(traceHeader));
    return encodeJson(await handle({ ...parseApiRequest(request.body, this.#maximumRequestBytes), traceparent }));
  }

  async #submit({ fields, deadlineMs, traceparent }: ApiRequest): Promise<unknown> {
    const { command, fresh } = parseSubmitRequest(fields, () => this.#random.id());
    return readSubmitReply(await this.#shardClient.send(command, { deadlineMs, traceparent }), fresh);
  }

  async #submitMany({ fields, deadlineMs, traceparent }: ApiRequest): Promise<unknown> {
    const items = parseSubmitItems(fields).map((item, index) => this.#parseItem(item, index));
    const commands: readonly SubmitCommand[] = items.flatMap((item) =>
      item instanceof EngineError ? [] : [item.command],
    );
    const replies = (await this.#shardClient.sendMany(commands, { deadlineMs, traceparent })).values();
    return {
      results: items.map((item) => {
        if (item instanceof EngineError) return { error: item.toReport() };
        try {
          // One reply was asked for each item that could be read, in the same order.
          return readSubmitReply(replies.next().value as Reply, item.fresh);
        } catch (error) {
          return { error: this.#toError(error).toReport() };
        }
      }),
    };
  }

  #parseItem(item: unknown, index: number): ReturnType<typeof parseSubmitRequest> | EngineError {
    try {
      return parseSubmitRequest(parseFields(item, `items[${index}]`), () => this.#random.id());
    } catch (error) {
      return this.#toError(error);
    }
  }

  async #get({ fields, deadlineMs }: ApiRequest): Promise<unknown> {
    const reply = await this.#shardClient.send(parseQueryRequest('task.get', fields), { deadlineMs });
    return { task: expectReply(reply, ['task']).task };
  }

  async #result({ fields, deadlineMs }: ApiRequest): Promise<unknown> {
    const command = parseQueryRequest('task.result', fields);
    const waitMs = command.type === 'task.result' ? command.waitMs : 0;
    const reply = await this.#shardClient.send(command, { deadlineMs: Math.max(deadlineMs, waitMs + resultMarginMs) });
    return expectReply(reply, ['ended', 'pending']);
  }

  async #list({ fields, deadlineMs }: ApiRequest): Promise<TaskPage> {
    return listTasks(this.#shardClient, parseListRequest(fields), { deadlineMs });
  }

  async #control(type: ControlCommand['type'], { fields, deadlineMs, traceparent }: ApiRequest): Promise<unknown> {
    const command = parseControlRequest(type, fields, () => this.#random.id());
    return expectReply(await this.#shardClient.send(command, { deadlineMs, traceparent }), ['done']);
  }

  async #listDeadLetters({ fields, deadlineMs }: ApiRequest): Promise<unknown> {
    refuseUnknownFields(fields, new Set(['pipeline', 'limit', 'after']), 'dead-letters');
    return this.#deadLetters(parseListRequest(fields), deadlineMs);
  }

  #toError(thrown: unknown): EngineError {
    if (thrown instanceof EngineError) return thrown;
    this.#logger.error({ err: asError(thrown) }, 'an API request failed unexpectedly');
    return new EngineError('INTERNAL', 'the request failed unexpectedly', { hint: "see the node's log" });
  }
}

/** A new id that is found already was stored by an earlier try of this same submit. */
function readSubmitReply(reply: Reply, fresh: boolean): Extract<Reply, { kind: 'accepted' | 'existing' }> {
  const answer = expectReply(reply, ['accepted', 'existing']);
  return fresh ? { ...answer, kind: 'accepted' } : answer;
}
