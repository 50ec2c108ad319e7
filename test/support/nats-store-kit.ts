import { expect } from 'vitest';

import { EngineError, type ErrorCode } from '../../src/core/errors.ts';
import { SystemClock } from '../../src/platform/system-clock.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { Logger } from '../../src/ports/logger.ts';
import { BucketApi } from '../../src/store/bucket-api.ts';
import { ensureBuckets, type BucketOptions } from '../../src/store/buckets.ts';
import { StreamApi } from '../../src/store/stream-api.ts';
import { AckInbox } from '../../src/transport/ack-inbox.ts';
import { connectNats, type NatsLink } from '../../src/transport/nats-connection.ts';

/** A logger that says nothing. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};

/** What the JetStream stores of one node are built from. */
export interface NatsStoreKit {
  readonly link: NatsLink;
  readonly acks: AckInbox;
  readonly api: BucketApi;
  readonly clock: Clock;
  readonly logger: Logger;
  close(): Promise<void>;
}

/** Connects as one node would; `timeoutMs` bounds each request and publish. */
export async function openStoreKit(servers: string | readonly string[], timeoutMs = 5_000): Promise<NatsStoreKit> {
  const clock = new SystemClock();
  const logger = silentLogger;
  const link = await connectNats({ servers, name: 'contract test', clock, logger, closeTimeoutMs: 500 });
  const acks = new AckInbox({ link, clock, logger, timeoutMs });
  const streams = new StreamApi({ link, clock, logger, timeoutMs });
  return {
    link,
    acks,
    api: new BucketApi({ api: streams }),
    clock,
    logger,
    close: async () => {
      streams.close();
      acks.close();
      await link.close();
    },
  };
}

let namespaceCount = 0;

/** Creates the buckets of a new namespace, so that tests do not meet each other's keys. */
export async function freshNamespace(kit: NatsStoreKit, options: Omit<BucketOptions, 'namespace'>): Promise<string> {
  namespaceCount += 1;
  const namespace = `t${namespaceCount}`;
  await until(async () => {
    try {
      await ensureBuckets(kit.api, { ...options, namespace });
      return true;
    } catch (error) {
      // A cluster that has just started places a stream when it knows its peers.
      if (error instanceof EngineError && error.retryable) return false;
      throw error;
    }
  });
  return namespace;
}

/** Asks again and again until the condition holds. */
export async function until(
  condition: () => Promise<boolean> | boolean,
  options: { readonly withinMs?: number; readonly elapse?: (ms: number) => Promise<void> } = {},
): Promise<void> {
  const { withinMs = 20_000, elapse = realTime } = options;
  const stepMs = 20;
  for (let waitedMs = 0; waitedMs <= withinMs; waitedMs += stepMs) {
    if (await condition()) return;
    await elapse(stepMs);
  }
  throw new Error(`the condition did not hold within ${withinMs} ms`);
}

/** Whether a frozen server answers no more; it may still do for a moment what it was doing. */
export async function isSilent(node: NatsStoreKit): Promise<boolean> {
  return node.api.streamSettings('none').then(
    () => false,
    () => true,
  );
}

/** Lets real time pass. */
export function realTime(ms: number): Promise<void> {
  return new Promise((resolve) => void new SystemClock().setTimer(ms, resolve));
}

/** Expects the promise to reject with an EngineError of that code, and gives it. */
export async function expectEngineError(promise: Promise<unknown>, code: ErrorCode): Promise<EngineError> {
  const error: unknown = await promise.then(
    (value) => new Error(`resolved with ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(EngineError);
  expect((error as EngineError).code, (error as EngineError).message).toBe(code);
  return error as EngineError;
}
