import { errorCatalog, type ErrorCode } from '../../core/errors.ts';
import { flag, integer, object, oneOf, optional, text } from '../schema.ts';

/** Every answer that tells of an error. */
export const errorAnswer = object({
  error: object({
    code: oneOf(Object.keys(errorCatalog) as ErrorCode[]),
    message: text({ most: 1_000 }),
    field: optional(text({ most: 1_000 })),
    limit: optional(text({ least: 0, most: 10_000 })),
    got: optional(text({ least: 0, most: 120 })),
    hint: optional(text({ most: 1_000 })),
    retryable: flag(),
    retryAfterMs: optional(integer(0, Number.MAX_SAFE_INTEGER)),
    requestId: text({ most: 64 }),
  }),
});
