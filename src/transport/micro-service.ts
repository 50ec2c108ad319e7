import type { EngineError, ErrorReport } from '../core/errors.ts';
import type { Millis } from '../core/ids.ts';
import type { Bus, BusRequest, BusService } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { metricCatalog } from '../ports/metric-catalog.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';

/** One endpoint of a {@link MicroService}: a subject and what answers it. */
export interface MicroEndpoint {
  /** `[A-Za-z0-9_-]+`, unique within the service. */
  readonly name: string;
  readonly subject: string;
  /**
   * The answer's bytes. Called only for requests that can be answered.
   *
   * @throws EngineError anything; the service turns it into an error answer
   */
  readonly handle: (request: BusRequest) => Promise<Uint8Array>;
}

/** What `$SRV.INFO` tells of a service. */
export interface MicroServiceIdentity {
  /** `[A-Za-z0-9_-]+`. */
  readonly name: string;
  /** Unique to this instance. */
  readonly id: string;
  /** A semantic version. */
  readonly version: string;
  readonly description: string;
  readonly metadata: Readonly<Record<string, string>>;
}

interface EndpointStatistics {
  requests: number;
  errors: number;
  lastError: string;
  processingMs: number;
}

/** The queue group whose members share an endpoint's requests: any node may answer. */
const queueGroup = 'cabinet-api';

/**
 * A NATS micro service: endpoints in a queue group, and the discovery subjects `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS` with
 * their `.name` and `.name.id` forms, so that `nats service list` and any client library find every node.
 *
 * @see NATS ADR-32, "Service API"
 */
export class MicroService {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #identity: MicroServiceIdentity;
  readonly #endpoints: readonly MicroEndpoint[];
  readonly #toError: (thrown: unknown) => EngineError;
  readonly #logger: Logger;
  readonly #dropped: Counter;
  readonly #statistics: ReadonlyMap<string, EndpointStatistics>;
  #startedAt: Millis = 0;
  #services: readonly BusService[] = [];

  constructor(deps: {
    readonly bus: Bus;
    readonly clock: Clock;
    readonly identity: MicroServiceIdentity;
    readonly endpoints: readonly MicroEndpoint[];
    /** What to answer for anything that a handler throws. */
    readonly toError: (thrown: unknown) => EngineError;
    readonly logger: Logger;
    readonly metrics: Metrics;
  }) {
    this.#bus = deps.bus;
    this.#clock = deps.clock;
    this.#identity = deps.identity;
    this.#endpoints = deps.endpoints;
    this.#toError = deps.toError;
    this.#logger = deps.logger;
    this.#dropped = deps.metrics.counter(metricCatalog.unanswerableMessages);
    this.#statistics = new Map(
      deps.endpoints.map(({ name }) => [name, { requests: 0, errors: 0, lastError: '', processingMs: 0 }]),
    );
  }

  /** Serves the endpoints, then the discovery subjects: what is announced answers. */
  async start(): Promise<void> {
    this.#startedAt = this.#clock.now();
    const endpoints = this.#endpoints.map((endpoint) =>
      this.#bus.serve(endpoint.subject, (request) => void this.#answer(endpoint, request), { queue: queueGroup }),
    );
    this.#services = await Promise.all(endpoints);
    const discovery = (['PING', 'INFO', 'STATS'] as const).flatMap((verb) =>
      this.#discoverySubjects(verb).map((subject) =>
        this.#bus.serve(subject, (request) => request.reply(encodeJson(this.#describe(verb)))),
      ),
    );
    this.#services = [...this.#services, ...(await Promise.all(discovery))];
  }

  /** Stops serving; requests in hand are still answered. */
  async stop(): Promise<void> {
    const services = this.#services;
    this.#services = [];
    await Promise.all(services.map((service) => service.stop()));
  }

  #discoverySubjects(verb: string): readonly string[] {
    const { name, id } = this.#identity;
    return [`$SRV.${verb}`, `$SRV.${verb}.${name}`, `$SRV.${verb}.${name}.${id}`];
  }

  async #answer(endpoint: MicroEndpoint, request: BusRequest): Promise<void> {
    if (!request.canReply) {
      // Nobody would hear a refusal, and a command whose sender cannot hear its outcome must not be done on the quiet.
      this.#dropped.add(1, { endpoint: endpoint.name });
      this.#logger.warn({ endpoint: endpoint.name }, 'a message without a reply subject was dropped');
      return;
    }
    const statistics = this.#statistics.get(endpoint.name);
    const startedMs = this.#clock.monotonicMs();
    let failure: ErrorReport | null = null;
    try {
      request.reply(await endpoint.handle(request));
    } catch (error) {
      failure = this.#toError(error).toReport();
      request.reply(encodeJson({ error: failure }), errorHeaders(failure));
    }
    if (statistics === undefined) return;
    statistics.requests += 1;
    statistics.processingMs += this.#clock.monotonicMs() - startedMs;
    if (failure === null) return;
    statistics.errors += 1;
    statistics.lastError = `${failure.code}:${failure.message}`;
  }

  #describe(verb: 'PING' | 'INFO' | 'STATS'): unknown {
    const { name, id, version, description, metadata } = this.#identity;
    const shared = { name, id, version, metadata };
    if (verb === 'PING') return { ...shared, type: 'io.nats.micro.v1.ping_response' };
    if (verb === 'INFO') {
      return {
        ...shared,
        type: 'io.nats.micro.v1.info_response',
        description,
        endpoints: this.#endpoints.map((endpoint) => ({ ...describeEndpoint(endpoint), metadata: {} })),
      };
    }
    return {
      ...shared,
      type: 'io.nats.micro.v1.stats_response',
      started: new Date(this.#startedAt).toISOString(),
      endpoints: this.#endpoints.map((endpoint) => this.#describeStatistics(endpoint)),
    };
  }

  #describeStatistics(endpoint: MicroEndpoint): unknown {
    const { requests = 0, errors = 0, lastError = '', processingMs = 0 } = this.#statistics.get(endpoint.name) ?? {};
    const nanoseconds = Math.round(processingMs * 1e6);
    return {
      ...describeEndpoint(endpoint),
      num_requests: requests,
      num_errors: errors,
      last_error: lastError,
      processing_time: nanoseconds,
      average_processing_time: requests === 0 ? 0 : Math.round(nanoseconds / requests),
    };
  }
}

function describeEndpoint(endpoint: MicroEndpoint): Readonly<Record<string, unknown>> {
  return { name: endpoint.name, subject: endpoint.subject, queue_group: queueGroup };
}

/** A value as the bytes of its JSON text. */
export function encodeJson(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** Header values are one line of printable ASCII: anything else would break the message or be refused by a client. */
function errorHeaders(report: ErrorReport): Readonly<Record<string, string>> {
  const text = `${report.code}: ${report.message}`.replace(/[^\x20-\x7e]/g, '?').slice(0, 512);
  return { 'Nats-Service-Error-Code': httpStatusOf(report), 'Nats-Service-Error': text };
}

/** The nearest HTTP status, which is what tools of the micro service protocol expect as a code. */
function httpStatusOf(report: ErrorReport): string {
  switch (report.code) {
    case 'TASK_NOT_FOUND':
    case 'PIPELINE_UNKNOWN':
    case 'PIPELINE_VERSION_UNKNOWN':
      return '404';
    case 'TASK_CONFLICT':
    case 'NOT_ALLOWED':
      return '409';
    case 'PAYLOAD_TOO_LARGE':
      return '413';
    case 'MAILBOX_FULL':
    case 'OVERLOADED':
      return '429';
    case 'INTERNAL':
      return '500';
    case 'DEADLINE_EXCEEDED':
      return '504';
    default:
      return report.retryable ? '503' : '400';
  }
}
