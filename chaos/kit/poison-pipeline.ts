import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import type { StageContext } from '../../src/ports/driver.ts';
import { corruptions } from './corruptions.ts';

type Poison = (ctx: Pick<StageContext, 'checkpoint' | 'heartbeat' | 'input' | 'attempt'>) => unknown;

const manyCalls = 100_000;
const never = (): Promise<never> => new Promise(() => undefined);
const throwing = (): never => {
  throw new Error('nobody may look');
};
const hostileTraps: ProxyHandler<object> = {
  get: throwing,
  has: throwing,
  ownKeys: throwing,
  getPrototypeOf: throwing,
  getOwnPropertyDescriptor: throwing,
};

const hoarded: unknown[] = [];
function hoard(): void {
  hoarded.push(Array.from({ length: 100_000 }, (_, index) => ({ index })));
}

/** Throws that value, whatever it is. */
function toss(value: unknown): never {
  throw value;
}

/** What a poisonous driver does, by name. */
export const poisons = {
  // It fails, in every way in which one can fail.
  'throw-sync': () => toss(new Error('thrown at once')),
  reject: () => Promise.reject(new Error('rejected')),
  'throw-undefined': () => toss(undefined),
  'throw-string': () => toss('just a text'),
  'throw-proxy': () => toss(new Proxy({}, hostileTraps)),
  'throw-getters': () => toss(Object.defineProperty({}, 'message', { get: throwing, enumerable: true })),
  'throw-error-getters': () =>
    toss(Object.defineProperties(new Error('x'), { message: { get: throwing }, name: { get: throwing } })),
  recurse: function recurse(): unknown {
    return [recurse()];
  },
  'change-input': ({ input }) => Object.assign(input as object, { kind: 'reject' }),
  // It does not end.
  never,
  // oxlint-disable-next-line unicorn/no-thenable -- that is the harm
  'thenable-never': () => ({ then: () => undefined }),
  // It returns what JSON cannot keep.
  'return-cyclic': () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    return cycle;
  },
  'return-bigint': () => ({ count: 1n }),
  'return-function': () => ({ call: throwing }),
  'return-symbol': () => Symbol('result'),
  'return-undefined': () => undefined,
  'return-proxy': () => ({ inner: new Proxy({}, hostileTraps) }),
  'return-getters': () => Object.defineProperty({}, 'value', { get: throwing, enumerable: true }),
  'return-deep': () => {
    let value: unknown = 1;
    for (let depth = 0; depth < manyCalls; depth += 1) value = [value];
    return value;
  },
  'return-huge': () => 'x'.repeat(24 * 1024 * 1024),
  // It says too much.
  checkpoints: async ({ checkpoint }) => {
    for (let index = 0; index < manyCalls; index += 1) await checkpoint(`step-${index}`, () => index);
    return {};
  },
  'checkpoints-at-once': async ({ checkpoint }) => {
    await Promise.all(Array.from({ length: manyCalls }, (_, index) => checkpoint(`step-${index}`, () => index)));
    return {};
  },
  heartbeats: ({ heartbeat }) => {
    for (let index = 0; index < manyCalls; index += 1) heartbeat();
    return {};
  },
  // It ends its process.
  exit: () => process.exit(1),
  'exit-0': () => process.exit(0),
  abort: () => process.abort(),
  'kill-itself': () => {
    process.kill(process.pid, 'SIGKILL');
    return never();
  },
  'stray-throw': () => {
    setTimeout(() => toss(new Error('a stray error')), 10);
    return never();
  },
  'stray-throw-undefined': () => {
    setTimeout(() => toss(undefined), 10);
    return never();
  },
  'unhandled-rejection': () => {
    void Promise.reject(new Error('nobody handles this'));
    return never();
  },
  'out-of-memory': () => {
    for (;;) hoard();
  },
  // It has timed out long before it ends its process.
  leak: async () => {
    for (;;) {
      hoard();
      await sleep(50);
    }
  },
  // It keeps its process from everything else.
  block: () => {
    for (;;);
  },
  microtasks: async () => {
    for (;;) await Promise.resolve();
  },
} as const satisfies Readonly<Record<string, Poison>>;

/** A kind of poison. */
export type PoisonKind = keyof typeof poisons;

const timeoutMs = 1_500;
const retry = { maxAttempts: 2, initialDelayMs: 20, maxDelayMs: 100 };

/** One stage that does the harm that its input names, and one after it. */
export const poisonPipeline = definePipeline({
  name: 'poison',
  version: 1,
  input: z.object({ kind: z.string() }),
  stages: (pipeline) =>
    pipeline
      .stage('harm', {
        output: z.any(),
        retry,
        timeoutMs,
        driver: (ctx) => {
          const { kind } = ctx.input;
          const all: Readonly<Record<string, Poison>> = { ...poisons, ...corruptions };
          // Methods that are called without their object, as a driver may that takes them apart.
          return all[kind]?.({
            input: ctx.input,
            attempt: ctx.attempt,
            heartbeat: () => ctx.heartbeat(),
            checkpoint: (name, act) => ctx.checkpoint(name, act),
          });
        },
      })
      .stage('after', { output: z.object({}), retry, timeoutMs, driver: () => ({}) }),
});
