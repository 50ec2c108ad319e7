import { edgeKey } from '../src/model/machine-path.ts';
import { placeOf } from '../src/model/task-words.ts';

/** A message of the gateway's own form, as far as this page reads it. */
export interface Frame {
  readonly type: string;
  readonly sessionId: string;
  readonly rootId: string;
  readonly at: number;
  readonly seq?: number;
  readonly src?: string;
  readonly event?: { readonly type: string; readonly [name: string]: unknown };
  readonly sourceId?: string | null;
  /** Of a new owner; null when it is not known any more. */
  readonly node?: string | null;
  readonly epoch?: number | null;
  readonly missingCount?: number;
  readonly stepCount?: number;
  readonly stages?: readonly { readonly name: string; readonly canBeSkipped: boolean }[];
  readonly snapshot?: { readonly status: string; readonly value?: unknown; readonly context?: unknown };
  readonly [name: string]: unknown;
}

/** One line of the list: a point in time that the page can go back to. */
export interface Moment {
  readonly at: number;
  readonly label: string;
  /** Who sent the event; null for nobody in particular. */
  readonly source: string | null;
  /** The machine's state from then on. */
  readonly state: string;
  readonly isEngine: boolean;
  readonly frame: Frame;
}

/** All that was received of a task. */
export interface Inspection {
  readonly pipeline: string | null;
  readonly stages: NonNullable<Frame['stages']>;
  readonly moments: readonly Moment[];
}

/** Before the first message. */
export const nothingYet: Inspection = { pipeline: null, stages: [], moments: [] };

/** Most moments that the page keeps; the oldest go first. */
export const maximumMoments = 20_000;

/** The inspection after more messages. Pure. */
export function afterFrames(before: Inspection, frames: readonly Frame[]): Inspection {
  let { pipeline, stages } = before;
  const moments = [...before.moments];
  for (const frame of frames) {
    // An attempt tells of itself; what it does to the task is told by the task.
    if (frame.sessionId !== frame.rootId) continue;
    if (frame.type === '@xstate.actor') {
      pipeline = frame.src ?? pipeline;
      stages = frame.stages ?? stages;
    }
    const last = moments.at(-1)?.state ?? 'new';
    const value = frame.snapshot?.value;
    moments.push({
      at: frame.at,
      label: labelOf(frame),
      source: frame.sourceId?.slice(frame.rootId.length + 1) ?? null,
      state: value === undefined ? last : flatState(value),
      isEngine: frame.type.startsWith('engine.'),
      frame,
    });
  }
  return { pipeline, stages, moments: moments.slice(-maximumMoments) };
}

/** What the machine's picture shows at a moment. */
export interface PictureMarks {
  readonly active: string | null;
  readonly counts: ReadonlyMap<string, number>;
  readonly taken: ReadonlySet<string>;
  readonly lastTaken: string | null;
  readonly sentence: string;
}

/** The way up to a moment. Pure. */
export function marksAt(moments: readonly Moment[], index: number): PictureMarks {
  const counts = new Map<string, number>();
  const taken = new Set<string>();
  let before = 'new';
  let lastTaken: string | null = null;
  for (const { state, frame } of moments.slice(0, index + 1)) {
    const isAgain = frame.event?.type === 'stage.started' || frame.event?.type === 'retry.due';
    if (state !== before || isAgain) counts.set(state, (counts.get(state) ?? 0) + 1);
    const [from, to] = [nodeOf(before), nodeOf(state)];
    lastTaken = from === to ? null : edgeKey(from, to);
    if (lastTaken !== null) taken.add(lastTaken);
    before = state;
  }
  const active = moments[index]?.state ?? null;
  return {
    active,
    counts,
    taken,
    lastTaken,
    sentence: active === null ? 'The machine.' : `The machine; the task is in ${active}.`,
  };
}

function nodeOf(state: string): string {
  const { stage, status } = placeOf(state);
  return stage ?? status;
}

function flatState(value: unknown): string {
  return typeof value === 'string'
    ? value
    : Object.entries(value as object)
        .flat()
        .join('.');
}

function labelOf(frame: Frame): string {
  const { type, event } = frame;
  if (type === '@xstate.actor') return frame.seq === 0 ? 'the task' : `the task at record ${frame.seq}`;
  if (type === 'engine.owner.changed') return `owner: ${frame.node ?? 'unknown'}, epoch ${frame.epoch}`;
  if (type === 'engine.history.trimmed') return `${frame.missingCount} records before are trimmed`;
  if (type === 'engine.steps.dropped') return `dropped ${frame.stepCount}: this page was too slow`;
  return event?.type ?? type;
}
