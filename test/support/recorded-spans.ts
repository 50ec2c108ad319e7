import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base';

/** An OpenTelemetry SDK that keeps its spans here, as a user would register one. Release it: it is global. */
export class RecordedSpans {
  readonly #exporter = new InMemorySpanExporter();

  constructor() {
    trace.setGlobalTracerProvider(
      new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(this.#exporter)] }),
    );
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  }

  /** The ended spans of that name, in the order of their ends. */
  named(name: string): readonly ReadableSpan[] {
    return this.#exporter.getFinishedSpans().filter((span) => span.name === name);
  }

  /** All ended spans. */
  get all(): readonly ReadableSpan[] {
    return this.#exporter.getFinishedSpans();
  }

  /** The one span of that name. */
  only(name: string): ReadableSpan {
    const [span, ...more] = this.named(name);
    const names = this.#exporter.getFinishedSpans().map((one) => one.name);
    if (span === undefined || more.length > 0) throw new Error(`expected one span ${name} among ${names.join(', ')}`);
    return span;
  }

  release(): void {
    trace.disable();
    context.disable();
  }
}
