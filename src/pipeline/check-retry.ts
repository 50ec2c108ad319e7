import { resolveRetryPolicy, retryDefaults, type RetryPolicy } from '../core/backoff.ts';
import { EngineError } from '../core/errors.ts';
import { neverRetriedClasses, type FailureClass } from '../core/failures.ts';

const retryFields: readonly string[] = ['maxAttempts', ...Object.keys(retryDefaults)];
const failureClasses: readonly FailureClass[] = [...retryDefaults.retryOn, ...neverRetriedClasses];

/**
 * A stage's retry policy, complete and finite, from whatever its author gave.
 *
 * @throws EngineError `RETRY_POLICY_INVALID` whose field is a path such as `stages.photos.retry.maxAttempts`
 */
export function checkRetry(value: unknown, path: string): RetryPolicy {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(path, 'an object with maxAttempts: no stage is retried for ever', value);
  }
  const given = Object.entries(value).filter(([, setting]) => setting !== undefined);
  const unknownField = given.find(([name]) => !retryFields.includes(name));
  if (unknownField !== undefined) {
    throw invalid(`${path}.${unknownField[0]}`, `left out: the fields are ${retryFields.join(', ')}`, unknownField[0]);
  }
  const partial = Object.fromEntries(given) as Partial<RetryPolicy>;
  if (partial.retryOn !== undefined) checkClasses(partial.retryOn, `${path}.retryOn`);
  return resolveRetryPolicy(partial as Partial<RetryPolicy> & Pick<RetryPolicy, 'maxAttempts'>, path);
}

function checkClasses(value: unknown, path: string): void {
  const limit = `a list of ${retryDefaults.retryOn.join(', ')}`;
  if (!Array.isArray(value)) throw invalid(path, limit, value);
  const stranger: unknown = value.find((entry) => !failureClasses.includes(entry as FailureClass));
  if (stranger !== undefined) throw invalid(path, limit, stranger);
}

function invalid(field: string, limit: string, got: unknown): EngineError {
  return new EngineError('RETRY_POLICY_INVALID', `${field} must be ${limit}`, { field, limit, got });
}
