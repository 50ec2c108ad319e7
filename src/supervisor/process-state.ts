import type { ErrorReport } from '../core/errors.ts';
import type { NodeBeat, NodeReadiness } from '../core/process-messages.ts';
import type { RestartIntensity } from '../core/restart-intensity.ts';
import type { ProcessExit } from '../ports/node-processes.ts';
import { restartBackoffDefaults, type RestartBackoff } from './restart-backoff.ts';

/** How a supervisor treats its node processes. */
export interface ProcessPolicy {
  /** A process that tells nothing for so long is killed. */
  readonly hungAfterMs: number;
  /** What a process gets on top of that to load its code and to tell for the first time. */
  readonly firstBeatMs: number;
  /** How long a node has to become ready in a rolling restart, before the roll is given up. */
  readonly rollReadyMs: number;
  /** What running drivers get in a drain. */
  readonly graceMs: number;
  /** What a process gets on top of the grace to end, before it is killed. */
  readonly graceMarginMs: number;
  /** Starts of one node that end before it has joined the cluster, before everything is given up: the set-up is wrong. */
  readonly startLimit: RestartIntensity;
  readonly startBackoff: RestartBackoff;
  /**
   * Crashes of one node that had joined, before everything is given up. Far more: a task that kills its process does so until it is
   * quarantined, and must not take all others with it.
   */
  readonly crashLimit: RestartIntensity;
  readonly crashBackoff: RestartBackoff;
}

/** The policy when nothing else is said; the grace is the engine's. */
export const processPolicyDefaults: Omit<ProcessPolicy, 'graceMs'> = {
  hungAfterMs: 15_000,
  firstBeatMs: 30_000,
  rollReadyMs: 120_000,
  graceMarginMs: 5_000,
  startLimit: { intensity: 5, periodMs: 60_000 },
  startBackoff: restartBackoffDefaults,
  crashLimit: { intensity: 100, periodMs: 300_000 },
  crashBackoff: { ...restartBackoffDefaults, maxDelayMs: 2_000 },
};

/** Time between two beats of a node process. */
export const beatIntervalMs = 1_000;

/** Why a supervisor killed a process: it told nothing, or nonsense, it overran its grace, or everything must end now. */
export type KillReason = 'hung' | 'garbled' | 'overrun' | 'abort';

/**
 * Where the process of a slot stands.
 *
 * ```
 * starting ──► ready ──► draining ──► (exit) ──► starting, in a roll; else ended
 *    └────────────┴──────────┴──► killed ──► (exit) ──► waiting ──► starting
 *    crash: (exit) ──► waiting ──► starting          down: a roll could not bring it back
 * ```
 */
export type SlotPhase =
  | { readonly kind: 'starting' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'draining'; readonly for: 'roll' | 'stop'; readonly killAtMs: number }
  | { readonly kind: 'killed'; readonly why: KillReason }
  | { readonly kind: 'waiting'; readonly startAtMs: number }
  | { readonly kind: 'down' }
  | { readonly kind: 'ended' };

/** One node's place under the supervisor, over all its processes. */
export interface Slot {
  /** From 0. */
  readonly index: number;
  readonly nodeId: string;
  readonly phase: SlotPhase;
  /** Number of its newest process, from 1: what an earlier one says or does comes too late. */
  readonly process: number;
  readonly pid: number | null;
  readonly incarnation: string | null;
  /** When its newest process was started: monotonic, and by the wall clock. */
  readonly startedMs: number;
  readonly startedAt: number;
  /** Null before the first sign of life. */
  readonly heardMs: number | null;
  readonly beat: NodeBeat | null;
  readonly readiness: NodeReadiness | null;
  /** What the process said why it ends. */
  readonly failure: ErrorReport | null;
  /** Ends before it had joined the cluster, and after, within their periods. */
  readonly failedStartsMs: readonly number[];
  readonly crashesMs: readonly number[];
  /** Restarts by reason since the supervisor's start. */
  readonly restarts: Readonly<Record<string, number>>;
  readonly lastExit: (ProcessExit & { readonly reason: string; readonly at: number }) | null;
}

/** How a supervisor ended. */
export type StopOutcome =
  | { readonly kind: 'drained' }
  /** Some process had to be killed, or did not end in good order. */
  | { readonly kind: 'unclean' }
  /** Everything was ended at once. */
  | { readonly kind: 'aborted' }
  | { readonly kind: 'failed'; readonly error: ErrorReport };

/** A rolling restart: one node after the other. */
export interface Roll {
  /** Slots whose turn is still to come. */
  readonly left: readonly number[];
  /** The slot that drains, starts, or is not yet ready again. */
  readonly current: number | null;
  /** Another one was asked for meanwhile. */
  readonly again: boolean;
}

/** What a supervisor knows. */
export interface SupervisorState {
  readonly phase: 'starting' | 'running' | 'stopping' | 'ended';
  /** Of a stop that is under way or over. */
  readonly outcome: StopOutcome | null;
  readonly slots: readonly Slot[];
  readonly roll: Roll | null;
}

/** A supervisor that has started nothing. Node ids are `<baseId>-1`, `<baseId>-2`, … */
export function newSupervisor(options: { readonly baseId: string; readonly count: number }): SupervisorState {
  const slots = Array.from({ length: options.count }, (_, index): Slot => ({
    index,
    nodeId: `${options.baseId}-${index + 1}`,
    phase: { kind: 'ended' },
    process: 0,
    pid: null,
    incarnation: null,
    startedMs: 0,
    startedAt: 0,
    heardMs: null,
    beat: null,
    readiness: null,
    failure: null,
    failedStartsMs: [],
    crashesMs: [],
    restarts: {},
    lastExit: null,
  }));
  return { phase: 'starting', outcome: null, slots, roll: null };
}

/** Whether a slot has a process that has not ended. */
export function hasProcess({ phase }: Slot): boolean {
  return phase.kind === 'starting' || phase.kind === 'ready' || phase.kind === 'draining' || phase.kind === 'killed';
}
