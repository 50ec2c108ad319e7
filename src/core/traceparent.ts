/** Version 00 of W3C Trace Context: trace and parent in lower-case hexadecimal, neither all zero, and the flags. 55 characters. */
const pattern = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * A `traceparent` that somebody else sent, when it is one; else nothing: a trace is never a reason to refuse work.
 *
 * @see W3C Trace Context, https://www.w3.org/TR/trace-context/
 */
export function parseTraceparent(value: unknown): string | undefined {
  return typeof value === 'string' && value.length === 55 && pattern.test(value) ? value : undefined;
}
