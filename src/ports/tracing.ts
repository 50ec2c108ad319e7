/** What a span says of itself: the words of OpenTelemetry's semantic conventions, and `cabinet.*` for ours. */
export type SpanAttributes = Readonly<Record<string, string | number>>;

/** A span to be. */
export interface SpanStart {
  /** From a small set: no ids. */
  readonly name: string;
  readonly kind: 'producer' | 'consumer' | 'client';
  readonly attributes: SpanAttributes;
  /**
   * Whose child it is: of what runs now, of a sender elsewhere (a `traceparent`), or of nobody: a trace of its own, for what happens
   * later and perhaps on another node.
   */
  readonly parent: 'current' | 'none' | { readonly traceparent: string };
  /** The `traceparent` of what it follows from without being its child. */
  readonly follows?: string | undefined;
}

/** A span that runs. */
export interface TraceSpan {
  /** Its context in the form that travels. */
  readonly traceparent: string;
  /** Calls `work` with this span as the current one, so that spans made in there are its children. */
  run<Result>(work: () => Result): Result;
  /** @param error - why it failed; its `type` is from a small set */
  end(error?: { readonly type: string; readonly message: string }): void;
}

/** Where spans go, when somebody records them. */
export interface Tracing {
  /** Whether anybody does. When not, `start` is not called: no attribute is put together, nothing is sent. */
  readonly isOn: boolean;
  start(span: SpanStart): TraceSpan;
}
