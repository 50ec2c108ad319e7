import { unreachable } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import type { Payload, Resolution, TaskEvent } from '../core/records.ts';
import { summarizePayload, type PayloadSummary } from '../projections/payload-summary.ts';

/** Largest payload whose value is shown, in bytes, where values are shown at all. */
export const maximumShownPayloadBytes = 16 * 1024;

/** A payload as an inspector shows it: how large and which; its value only for those who may see it, and only when it is small. */
export type ShownPayload = PayloadSummary & { readonly value?: JsonValue };

/** An event of the machine with its payloads as they are shown. */
export interface ShownEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** How payloads are shown. */
export interface PayloadRule {
  readonly showsPayloads: boolean;
}

/** An event as an inspector shows it. Pure. */
export function shownEvent(event: TaskEvent, rule: PayloadRule): ShownEvent {
  switch (event.type) {
    case 'task.submitted':
      return { ...event, input: shown(event.input, rule) };
    case 'stage.completed':
      return { ...event, output: shown(event.output, rule) };
    case 'stage.checkpointed':
      return { ...event, value: shown(event.value, rule) };
    case 'outcome.resolved':
      return { ...event, resolution: shownResolution(event.resolution, rule) };
    case 'stage.started':
    case 'stage.failed':
    case 'retry.due':
    case 'task.paused':
    case 'task.resumed':
    case 'task.canceled':
    case 'task.redriven':
    case 'stage.released':
    case 'stage.cleared':
    case 'owner.changed':
    case 'task.quarantined':
      return { ...event };
    default:
      return unreachable(event);
  }
}

function shownResolution(resolution: Resolution, rule: PayloadRule): object {
  return resolution.kind === 'completed' ? { ...resolution, output: shown(resolution.output, rule) } : resolution;
}

function shown(payload: Payload, { showsPayloads }: PayloadRule): ShownPayload {
  const summary = summarizePayload(payload);
  const isShown = showsPayloads && 'json' in payload && summary.sizeBytes <= maximumShownPayloadBytes;
  return isShown ? { ...summary, value: payload.json } : summary;
}
