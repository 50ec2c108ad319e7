import {
  context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Context,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from '@opentelemetry/api';

import { parseTraceparent } from '../core/traceparent.ts';
import type { SpanStart, TraceSpan, Tracing } from '../ports/tracing.ts';

const kinds = { producer: SpanKind.PRODUCER, consumer: SpanKind.CONSUMER, client: SpanKind.CLIENT } as const;

/**
 * Spans by way of the OpenTelemetry API. The SDK is the user's: whatever is registered as the global tracer provider gets them, also
 * one that is registered later. Until then it costs one look a call.
 */
export class OpenTelemetryTracing implements Tracing {
  readonly #version: string;

  /** @param version - of the instrumentation: the engine's own */
  constructor(version: string) {
    this.#version = version;
  }

  get isOn(): boolean {
    const provider: object = trace.getTracerProvider();
    // The API's own stand-in has a delegate tracer only once an SDK is registered; anything else is an SDK.
    if (!('getDelegateTracer' in provider) || typeof provider.getDelegateTracer !== 'function') return true;
    return provider.getDelegateTracer('cabinet-pipeline', this.#version) !== undefined;
  }

  start(start: SpanStart): TraceSpan {
    const tracer: Tracer = trace.getTracer('cabinet-pipeline', this.#version);
    const followed = start.follows === undefined ? null : readTraceparent(start.follows);
    const parent = parentOf(start.parent);
    const span = tracer.startSpan(
      start.name,
      {
        kind: kinds[start.kind],
        attributes: { ...start.attributes },
        links: followed === null ? [] : [{ context: followed }],
      },
      parent,
    );
    return new OpenTelemetrySpan(span, parent);
  }
}

class OpenTelemetrySpan implements TraceSpan {
  readonly #span: Span;
  readonly #parent: Context;

  constructor(span: Span, parent: Context) {
    this.#span = span;
    this.#parent = parent;
  }

  get traceparent(): string {
    return writeTraceparent(this.#span.spanContext());
  }

  run<Result>(work: () => Result): Result {
    return context.with(trace.setSpan(this.#parent, this.#span), work);
  }

  end(error?: { readonly type: string; readonly message: string }): void {
    if (error !== undefined) {
      this.#span.setAttribute('error.type', error.type);
      this.#span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
    }
    this.#span.end();
  }
}

/** Trace and span of what runs now, as fields of a log line; none outside of a span. A new object each time: pino fills it up. */
export function currentTraceFields(): { traceId?: string; spanId?: string } {
  const current = trace.getActiveSpan()?.spanContext();
  if (current === undefined || !isSpanContextValid(current)) return {};
  return { traceId: current.traceId, spanId: current.spanId };
}

function parentOf(parent: SpanStart['parent']): Context {
  if (parent === 'current') return context.active();
  const remote = parent === 'none' ? null : readTraceparent(parent.traceparent);
  return remote === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, remote);
}

function readTraceparent(value: string): SpanContext | null {
  const [, traceId = '', spanId = '', flags = ''] = parseTraceparent(value)?.split('-') ?? [];
  return traceId === '' ? null : { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

function writeTraceparent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}
