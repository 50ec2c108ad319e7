import type { JsonValue } from '../core/json.ts';
import type { WireError } from './wire-error.ts';

/**
 * What a hosted run tells the engine's side of it. All plain JSON: it crosses a thread's or a process's border.
 */
export type HostMessage =
  /** The driver still makes progress: becomes `ctx.heartbeat()`. */
  | { readonly type: 'heartbeat' }
  /** A log line: becomes one of `ctx.log`. */
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      readonly message: string;
      readonly fields: Readonly<Record<string, JsonValue>>;
      /** The line's `err` field. */
      readonly error?: WireError;
    }
  /** The driver has called `ctx.checkpoint(name, fn)`. Answered with `checkpoint.run`, `checkpoint.done` or `checkpoint.failed`. */
  | { readonly type: 'checkpoint'; readonly call: number; readonly name: string }
  /** The driver's `fn` has settled, after `checkpoint.run`. Without value and error it gave `undefined`. */
  | { readonly type: 'checkpoint.ran'; readonly call: number; readonly value?: JsonValue; readonly error?: WireError };

/** What the engine's side tells a hosted run. */
export type RunMessage =
  /** The attempt is over: abort the driver's signal. */
  | { readonly type: 'cancel'; readonly reason: WireError }
  /** Nothing is committed under that name: run `fn` and send `checkpoint.ran`. */
  | { readonly type: 'checkpoint.run'; readonly call: number }
  /** Committed, now or by an earlier attempt. */
  | { readonly type: 'checkpoint.done'; readonly call: number; readonly value: JsonValue }
  | { readonly type: 'checkpoint.failed'; readonly call: number; readonly error: WireError };

/** How a hosted run ended. A missing output is `undefined`. */
export type RunResult =
  { readonly kind: 'done'; readonly output?: JsonValue } | { readonly kind: 'failed'; readonly error: WireError };

/** The levels of the logger port. */
export const logLevels = ['debug', 'info', 'warn', 'error'] as const;

/** One of {@link logLevels}. */
export type LogLevel = (typeof logLevels)[number];
