import { errorCatalog, type ErrorReport } from './errors.ts';
import type { NodeLife } from './node-messages.ts';
import { count, flag, listOf, membersOf, name, number, something, text, type Shape } from './shape.ts';

// What a supervisor and its node processes say to each other, as JSON over the channel between them.

/** How a node process does, told every second: who does not tell is held to hang. */
export interface NodeBeat {
  /** Longest that the event loop made a timer wait of late. */
  readonly loopLagMs: number;
  readonly isReady: boolean;
  /** Shards that it serves and that have running stages, with how many. */
  readonly running: readonly { readonly shard: number; readonly stages: number }[];
}

/** What a node tells once it serves. */
export interface NodeReadiness {
  readonly natsUrl: string;
  readonly durability: string;
}

/**
 * A node process to its supervisor.
 *
 * - `node.hello`: it runs, and waits for `node.start`
 * - `node.life`: a life of the node begins; sent before its lease is first written, and again after a lease ran out
 * - `node.ready`: it serves
 * - `node.beat`: sent from the first moment on; a late one is only late, a missing one has the process killed
 * - `node.failed`: why the process is about to end by itself
 * - `node.metrics`: the answer to a request of that name; unasked and `isFinal` before it ends drained
 */
export type NodeProcessMessage =
  | { readonly type: 'node.hello' }
  | { readonly type: 'node.life'; readonly life: NodeLife }
  | { readonly type: 'node.ready'; readonly readiness: NodeReadiness }
  | { readonly type: 'node.beat'; readonly beat: NodeBeat }
  | { readonly type: 'node.failed'; readonly error: ErrorReport }
  | { readonly type: 'node.metrics'; readonly families: MetricFamilies; readonly isFinal: boolean };

/** A process's metrics as plain JSON: what `PrometheusMetrics.snapshot` gives. */
export type MetricFamilies = readonly unknown[];

/** With what a node process starts. It reads the configuration file, its environment and these flags by itself, each time anew. */
export interface NodeProcessSettings {
  readonly nodeId: string;
  readonly flags: Readonly<Record<string, string | number | boolean | undefined>>;
  /** The supervisor's own NATS server; null: the one of the settings. */
  readonly embedded: { readonly url: string; readonly monitorUrl: string; readonly dataDir: string } | null;
  /** Node ids of all processes of the supervisor. */
  readonly siblings: readonly string[];
  readonly graceMs: number;
  readonly color: boolean;
}

/**
 * A supervisor to a node process.
 *
 * - `node.start`: the answer to `node.hello`
 * - `node.drain`: hand everything over within the grace, tell the last metrics, and end with exit code 0. A second one changes nothing
 * - `node.metrics`: tell the metrics
 */
export type NodeProcessOrder =
  | { readonly type: 'node.start'; readonly settings: NodeProcessSettings }
  | { readonly type: 'node.drain'; readonly graceMs: number }
  | { readonly type: 'node.metrics' };

/** What a supervisor makes of what a node process said. */
export type HeardMessage =
  | { readonly kind: 'message'; readonly message: NodeProcessMessage }
  /** A newer version's word: a rolling restart takes up new code, and its supervisor is still the old one. */
  | { readonly kind: 'unknown'; readonly type: string }
  /** Nothing that any version says: the process's memory is not to be trusted any more. */
  | { readonly kind: 'garbled'; readonly problem: string };

const nothing = membersOf({});
const beat = { loopLagMs: number, isReady: flag, running: listOf(membersOf({ shard: count, stages: count })) };
const messageShapes: ReadonlyMap<string, Shape> = new Map<NodeProcessMessage['type'], Shape>([
  ['node.hello', nothing],
  ['node.life', membersOf({ life: membersOf({ nodeId: name, incarnation: name }) })],
  ['node.ready', membersOf({ readiness: membersOf({ natsUrl: text, durability: text }) })],
  ['node.beat', membersOf({ beat: membersOf(beat) })],
  ['node.failed', membersOf({ error: membersOf({ code: name, message: text, retryable: flag }) })],
  ['node.metrics', membersOf({ families: listOf(something), isFinal: flag })],
]);

/** Reads what a node process said; a driver may have corrupted it, and its supervisor must outlive that. Never throws. */
export function readNodeProcessMessage(said: unknown): HeardMessage {
  const type: unknown = (said as { readonly type?: unknown } | null | undefined)?.type;
  if (typeof type !== 'string' || !type.startsWith('node.')) return { kind: 'garbled', problem: 'it has no type' };
  const shape = messageShapes.get(type);
  if (shape === undefined) return { kind: 'unknown', type };
  const problem = shape(said);
  if (problem !== null) return { kind: 'garbled', problem: `${type}${problem}` };
  const message = said as NodeProcessMessage;
  if (message.type !== 'node.failed' || Object.hasOwn(errorCatalog, message.error.code)) {
    return { kind: 'message', message };
  }
  return { kind: 'message', message: { type: 'node.failed', error: { ...message.error, code: 'INTERNAL' } } };
}
