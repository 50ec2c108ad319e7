import type { StandardSchemaV1 } from '@standard-schema/spec';
import { FatalError, RateLimitedError, RetryableError } from '../core/driver-errors.ts';
import { unitHash } from '../core/hash.ts';
import { definePipeline } from '../pipeline/define-pipeline.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { Clock } from '../ports/clock.ts';
import type { LookupAnswer, LookupContext, StageContext } from '../ports/driver.ts';
import type { OutsideWorld, Receipt } from './outside-world.ts';
import type { SimulatedProcess } from './simulated-process.ts';

/** What goes wrong with a task by its own fault. */
export type Trouble =
  | 'none'
  /** Attempts fail and succeed at last. */
  | 'flaky'
  /** Fails for good, until it is redriven. */
  | 'fatal'
  /** An attempt never settles, until its timeout. */
  | 'stuck'
  /** The other side asks to come back later. */
  | 'limited';

/** The troubles that tasks have. */
export const troubles = ['none', 'flaky', 'fatal', 'stuck', 'limited'] as const satisfies readonly Trouble[];

/** The input of a task of these pipelines. */
export interface Order {
  readonly salt: string;
  readonly trouble: Trouble;
}

/** What these pipelines' drivers find in `ctx.ports`. */
export interface WorldPorts {
  readonly world: OutsideWorld;
  readonly process: SimulatedProcess;
}

interface Receipts {
  readonly receipts: readonly string[];
}

type Context = StageContext<Order, unknown>;

/** Sub-steps of a stage that has some. */
const photoCount = 3;
const slowestMs = 10_000;
const retry = { maxAttempts: 4, initialDelayMs: 200, maxDelayMs: 8_000 };

const order = schema<Order>(isOrder, 'an order');
const receipt = schema<Receipt>((value) => typeof (value as Receipt | null)?.receipt === 'string', 'a receipt');
const receipts = schema<Receipts>((value) => Array.isArray((value as Receipts | null)?.receipts), 'receipts');

/** Stages of every kind of effect: with a key, with sub-steps, with a lookup, at most once. */
const orders = definePipeline({
  name: 'order',
  version: 1,
  input: order,
  stages: (pipeline) =>
    pipeline
      .stage('parse', {
        output: receipt,
        retry,
        timeoutMs: 30_000,
        driver: async (ctx) => {
          await work(ctx, 0, 40);
          await beInTrouble(ctx, ['flaky', 'limited']);
          return effect(ctx, true);
        },
      })
      .stage('photos', {
        output: receipts,
        retry: { ...retry, maxAttempts: 6 },
        timeoutMs: 60_000,
        driver: async (ctx) => {
          const given: string[] = [];
          for (let index = 1; index <= photoCount; index += 1) {
            const photo = await ctx.checkpoint(`photo-${index}`, async () => {
              await work(ctx, 5, 400);
              return effect(ctx, true, `:photo-${index}`);
            });
            given.push(photo.receipt);
            if (index === 2) await beInTrouble(ctx, ['flaky']);
          }
          return { receipts: given };
        },
      })
      .stage('publish', {
        output: receipt,
        retry,
        timeoutMs: 30_000,
        effect: 'atMostOnce',
        driver: {
          execute: async (ctx) => {
            await beInTrouble(ctx, ['fatal']);
            return effect(ctx, false);
          },
          lookup: (ctx) => lookUp(ctx),
        },
      })
      .stage('charge', {
        output: receipt,
        retry,
        timeoutMs: 30_000,
        effect: 'atMostOnce',
        driver: async (ctx) => {
          await work(ctx, 0, 1_000);
          await beInTrouble(ctx, ['flaky']);
          return effect(ctx, false);
        },
      })
      .stage('cleanup', {
        output: receipt,
        retry,
        timeoutMs: 10_000,
        skip: { reason: 'nothing is left', when: ({ input }) => unitHash(`${input.salt} clean`) < 0.3 },
        driver: (ctx) => effect(ctx, true),
      }),
});

/** Long stages: with heartbeats, behind a port with a breaker, few at a time, and one that may never settle. */
const imports = definePipeline({
  name: 'import',
  version: 1,
  input: order,
  stages: (pipeline) =>
    pipeline
      .stage('fetch', {
        output: receipt,
        retry: { ...retry, maxAttempts: 5 },
        timeoutMs: 15_000,
        heartbeatTimeoutMs: 4_000,
        concurrency: 4,
        port: 'remote',
        driver: async (ctx) => {
          await beInTrouble(ctx, ['stuck', 'flaky']);
          const totalMs = draw(ctx, 'fetch') * slowestMs;
          for (let doneMs = 0; doneMs < totalMs; doneMs += 1_000) {
            await work(ctx, 1_000, 1_000);
            ctx.heartbeat();
          }
          return effect(ctx, true);
        },
      })
      .stage('store', {
        output: receipt,
        retry,
        timeoutMs: 5_000,
        deadlineMs: 600_000,
        port: 'remote',
        driver: {
          execute: async (ctx) => {
            await beInTrouble(ctx, ['fatal', 'limited']);
            return effect(ctx, true);
          },
          lookup: (ctx) => lookUp(ctx),
        },
      }),
});

/** The pipelines of a simulation that brings none of its own. */
export const worldPipelines: readonly PipelineDefinition[] = [orders, imports];

/** The stages of these pipelines whose effects the world must have seen, as a history names them. */
export const effectStages: readonly string[] = worldPipelines.flatMap(({ name, stages }) =>
  stages.map((stage) => `${name}/${stage.name}`),
);

function portsOf(ctx: { readonly ports: Readonly<Record<string, unknown>> }): WorldPorts {
  return ctx.ports as unknown as WorldPorts;
}

/** A number in [0, 1) of this attempt's, the same whatever else happens. */
function draw(ctx: Pick<Context, 'input' | 'stage' | 'attempt'>, what: string): number {
  return unitHash(`${ctx.input.salt} ${ctx.stage} ${ctx.attempt} ${what}`);
}

/** Time that passes, unless the signal aborts. */
function work(ctx: Context, leastMs: number, mostMs: number): Promise<void> {
  return wait(portsOf(ctx).process.clock, ctx.signal, leastMs + draw(ctx, 'work') * (mostMs - leastMs));
}

function wait(clock: Clock, signal: AbortSignal, delayMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const abort = (): void => {
      timer.cancel();
      reject(signal.reason as Error);
    };
    const timer = clock.setTimer(delayMs, () => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
    signal.addEventListener('abort', abort, { once: true });
  });
}

/** The task's trouble, when it is one that this stage has. */
async function beInTrouble(ctx: Context, of: readonly Trouble[]): Promise<void> {
  const { trouble } = ctx.input;
  if (!of.includes(trouble)) return;
  switch (trouble) {
    case 'none':
      return;
    case 'flaky':
      if (draw(ctx, 'flaky') < 0.6) throw new RetryableError('it did not work this time');
      return;
    case 'limited':
      if (ctx.attempt <= 2) throw new RateLimitedError('too much', 500 + draw(ctx, 'limit') * 3_000);
      return;
    case 'fatal':
      // Some fail after a redrive too: there a command meets a later dead letter than the one that it was given for.
      if (ctx.attempt <= 1 + Math.floor(unitHash(`${ctx.taskId} fatal`) * 3)) throw new FatalError('it cannot work');
      return;
    case 'stuck':
      if (ctx.attempt > 1) return;
      // Some hear their signal, some do not.
      await (draw(ctx, 'deaf') < 0.3
        ? new Promise<never>(() => {})
        : wait(portsOf(ctx).process.clock, ctx.signal, 3_600_000));
      return;
    default:
      trouble satisfies never;
  }
}

function effect(ctx: Context, honorsKeys: boolean, suffix = ''): Promise<Receipt> {
  const { world, process } = portsOf(ctx);
  return world.apply(process, ctx, { honorsKeys, suffix });
}

async function lookUp(ctx: LookupContext<Order, unknown>): Promise<LookupAnswer<Receipt>> {
  const { world, process } = portsOf(ctx);
  const found = await world.lookUp(process, ctx);
  if (found === 'refused') return { kind: 'unknown' };
  return found === 'notDone' ? { kind: 'notDone' } : { kind: 'done', output: found };
}

function isOrder(value: unknown): boolean {
  const given = value as Partial<Order> | null;
  return typeof given?.salt === 'string' && troubles.includes(given.trouble as Trouble);
}

/** A schema that takes what it is given, if it is of that kind. */
function schema<Value>(accepts: (value: unknown) => boolean, name: string): StandardSchemaV1<Value> {
  return {
    '~standard': {
      version: 1,
      vendor: 'cabinet-pipeline',
      validate: (value) =>
        accepts(value) ? { value: value as Value } : { issues: [{ message: `it is not ${name}`, path: [] }] },
    },
  };
}
