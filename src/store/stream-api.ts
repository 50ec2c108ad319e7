import { EngineError } from '../core/errors.ts';
import { forbiddenError } from '../core/forbidden.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import { RequestInbox } from '../transport/request-inbox.ts';

/** An answer of the JetStream API. */
export type ApiAnswer =
  | { readonly kind: 'ok'; readonly value: Readonly<Record<string, unknown>> }
  /** `code` is the JetStream error code (`err_code`), or the HTTP-like one when there is no other. */
  | { readonly kind: 'error'; readonly code: number; readonly description: string };

/** How long one API call may take when nothing else is said. */
export const apiTimeoutMs = 5_000;

/** Calls of the JetStream API, which the leader of a stream or of the whole cluster answers. */
export class StreamApi {
  readonly #requests: RequestInbox;
  readonly #timeoutMs: number;

  constructor(deps: {
    readonly link: NatsLink;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly timeoutMs?: number | undefined;
  }) {
    this.#requests = new RequestInbox(deps);
    this.#timeoutMs = deps.timeoutMs ?? apiTimeoutMs;
  }

  /**
   * One call, `operation` being the subject after `$JS.API.`.
   *
   * @throws EngineError `UNAVAILABLE` when nobody answers, `BUS_FORBIDDEN` with the subject when the user may not ask
   */
  async call(operation: string, request: object = {}): Promise<ApiAnswer> {
    const subject = `$JS.API.${operation}`;
    const body = Buffer.from(JSON.stringify(request));
    const outcome = await this.#requests.request(subject, body, { timeoutMs: this.#timeoutMs });
    if (outcome.kind === 'forbidden') throw forbiddenError(outcome);
    if (outcome.kind !== 'reply') {
      throw new EngineError('UNAVAILABLE', `JetStream does not answer ${operation}: ${outcome.kind}`, {
        got: outcome.kind,
      });
    }
    return parseApiAnswer(outcome.body, operation);
  }

  /** As {@link call}, with every error answer thrown as `UNAVAILABLE`. */
  async demand(operation: string, request: object = {}): Promise<Readonly<Record<string, unknown>>> {
    const answer = await this.call(operation, request);
    if (answer.kind === 'ok') return answer.value;
    throw new EngineError('UNAVAILABLE', `JetStream refuses ${operation}: ${answer.code} ${answer.description}`);
  }

  /** Ends every open call. */
  close(): void {
    this.#requests.close();
  }
}

function parseApiAnswer(body: Uint8Array, operation: string): ApiAnswer {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'));
  } catch (error) {
    throw new EngineError('UNAVAILABLE', `JetStream's answer to ${operation} is unreadable`, { cause: error });
  }
  const record = value as Readonly<Record<string, unknown>>;
  const error = record['error'] as { code?: number; err_code?: number; description?: string } | undefined;
  if (error === undefined) return { kind: 'ok', value: record };
  return { kind: 'error', code: error.err_code ?? error.code ?? 0, description: error.description ?? 'no description' };
}
