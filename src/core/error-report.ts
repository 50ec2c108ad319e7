import { EngineError, errorCatalog, showValue, type ErrorCode, type ErrorReport } from './errors.ts';

/** An error report off the wire; a code that this build does not know becomes `INTERNAL` and keeps its name in the text. */
export function parseReport(value: unknown): ErrorReport {
  const report = (typeof value === 'object' && value !== null ? value : {}) as {
    readonly [Field in keyof ErrorReport]?: unknown;
  };
  const { code, field, limit, got, hint, retryAfterMs } = report;
  const message = typeof report.message === 'string' ? report.message : 'an error without a message';
  if (typeof code !== 'string' || !Object.hasOwn(errorCatalog, code)) {
    return new EngineError('INTERNAL', `${showValue(code)}: ${message}`).toReport();
  }
  const known = code as ErrorCode;
  return {
    code: known,
    message,
    ...(typeof field === 'string' ? { field } : {}),
    ...(typeof limit === 'string' ? { limit } : {}),
    ...(typeof got === 'string' ? { got } : {}),
    ...(typeof hint === 'string' ? { hint } : {}),
    // A wait that is none would have the client ask again without a pause.
    ...(Number.isFinite(retryAfterMs) ? { retryAfterMs: retryAfterMs as number } : {}),
    retryable: errorCatalog[known].retryable,
  };
}
