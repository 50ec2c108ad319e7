import { request as requestPlain, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestTls } from 'node:https';
import { parseReport } from '../core/error-report.ts';
import { asError, EngineError, showValue } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import type { Shape } from '../core/shape.ts';
import { parseStrictJson } from '../core/strict-json.ts';
import { tlsFailureOf } from '../core/tls-failure.ts';

/** Where an admin API is, and as whom it is asked. */
export interface AdminApiPlace {
  readonly url: URL;
  readonly token: string;
  /** The authority that its certificate is from, as PEM; undefined: those that Node knows. */
  readonly ca?: string | undefined;
}

/** One request to the admin API. */
export interface AdminApiRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** From `/api` on. */
  readonly path: string;
  readonly body?: JsonValue;
  /** What the answer must be like. */
  readonly shape: Shape;
  readonly signal: AbortSignal;
}

/** Largest answer that is read. */
const maximumAnswerBytes = 32 * 1024 * 1024;

/** The admin API as a command asks it: one connection a request, no redirect followed, for each would carry the token. */
export class AdminApi {
  readonly #place: AdminApiPlace;

  constructor(place: AdminApiPlace) {
    this.#place = place;
  }

  /** Its address, which holds no secret. */
  get url(): string {
    return this.#place.url.href.replace(/\/$/, '');
  }

  /**
   * What it answers.
   *
   * @throws EngineError `ADMIN_UNREACHABLE`, `TLS_ERROR`, and what it answers as an error
   */
  async ask<Answer>(request: AdminApiRequest): Promise<Answer> {
    const { status, contentType, bytes } = await this.#exchange(request);
    if (!/^application\/json\b/.test(contentType)) {
      throw this.#strange(`status ${status} with ${contentType === '' ? 'no content type' : showValue(contentType)}`);
    }
    const value = this.#read(bytes);
    if (status >= 200 && status < 300) {
      const problem = request.shape(value);
      if (problem !== null) throw this.#strange(`an answer to ${request.path} whose value${problem}`);
      return value as Answer;
    }
    const { error } = (typeof value === 'object' && value !== null ? value : {}) as { readonly error?: unknown };
    if (error === undefined) throw this.#strange(`status ${status}`);
    throw EngineError.fromReport(parseReport(error));
  }

  async #exchange({
    method,
    path,
    body,
    signal,
  }: AdminApiRequest): Promise<{ readonly status: number; readonly contentType: string; readonly bytes: Buffer }> {
    const { url, token, ca } = this.#place;
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const options: RequestOptions = {
      method,
      agent: false,
      signal,
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${token}`,
        ...(method === 'GET' ? {} : { 'content-type': 'application/json', 'x-cabinet-request': '1' }),
        ...(payload === undefined ? {} : { 'content-length': String(payload.length) }),
      },
    };
    const target = new URL(`${this.url}${path}`);
    try {
      return await new Promise((resolve, reject) => {
        const take = (answer: IncomingMessage): void => {
          readBytes(answer).then(
            (bytes) =>
              resolve({
                status: answer.statusCode ?? 0,
                contentType: answer.headers['content-type'] ?? '',
                bytes,
              }),
            reject,
          );
        };
        const sent =
          url.protocol === 'https:'
            ? requestTls(target, { ...options, ...(ca === undefined ? {} : { ca }), minVersion: 'TLSv1.2' }, take)
            : requestPlain(target, options, take);
        sent.once('error', reject);
        sent.end(payload);
      });
    } catch (thrown) {
      if (thrown instanceof EngineError) throw thrown;
      throw this.#unreachable(thrown);
    }
  }

  #read(bytes: Buffer): JsonValue {
    try {
      return parseStrictJson(bytes, maximumAnswerBytes);
    } catch (error) {
      throw this.#strange(asError(error).message);
    }
  }

  #unreachable(thrown: unknown): EngineError {
    const tls = tlsFailureOf(thrown);
    if (tls !== null) {
      return new EngineError('TLS_ERROR', `the admin API at ${this.url} cannot be trusted: ${tls}`, {
        cause: thrown,
        hint: 'name the authority of its certificate with --admin-ca, and its address as the certificate has it',
      });
    }
    return new EngineError('ADMIN_UNREACHABLE', `no admin API answers at ${this.url}: ${reasonOf(thrown)}`, {
      cause: thrown,
      hint: 'check that `cabinet dev` or `cabinet admin` runs, and that --admin-url is right, http or https',
    });
  }

  #strange(what: string): EngineError {
    return new EngineError('ADMIN_UNREACHABLE', `what answers at ${this.url} is no admin API that is known: ${what}`, {
      hint: 'check --admin-url, and that both sides have one version',
    });
  }
}

async function readBytes(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maximumAnswerBytes) {
      throw new EngineError('ADMIN_UNREACHABLE', 'the answer of the admin API is too large', {
        limit: `${maximumAnswerBytes} bytes`,
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Node tells of several addresses of one name in an error without a message. */
function reasonOf(thrown: unknown): string {
  const errors: readonly unknown[] = thrown instanceof AggregateError ? thrown.errors : [thrown];
  return errors.map((error) => asError(error).message).join(', ');
}
