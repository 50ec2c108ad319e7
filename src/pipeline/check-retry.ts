import { resolveRetryPolicy, retryDefaults, type RetryPolicy } from '../core/backoff.ts';
import { EngineError } from '../core/errors.ts';
import { failureClasses, uncertainClasses, type FailureClass } from '../core/failures.ts';
import type { StageEffect } from './definition.ts';

const retryFields: readonly string[] = ['maxAttempts', ...Object.keys(retryDefaults)];

/** What a stage retries whose effect may happen at most once: failures that say that it did not happen. */
const certainClasses = retryDefaults.retryOn.filter((failureClass) => !uncertainClasses.includes(failureClass));

/**
 * A stage's retry policy, complete and finite, from whatever its author gave.
 *
 * @param effect - an `atMostOnce` stage retries no failure after which its effect may have happened
 * @throws EngineError `RETRY_POLICY_INVALID` whose field is a path such as `stages.photos.retry.maxAttempts`
 */
export function checkRetry(value: unknown, path: string, effect: StageEffect): RetryPolicy {
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
  const policy = resolveRetryPolicy(
    {
      ...(effect === 'atMostOnce' ? { retryOn: certainClasses } : {}),
      ...(partial as Partial<RetryPolicy> & Pick<RetryPolicy, 'maxAttempts'>),
    },
    path,
  );
  if (effect === 'atMostOnce') checkCertain(policy.retryOn, `${path}.retryOn`);
  return policy;
}

/** After these failures the effect may have happened: one more attempt could have it twice. */
function checkCertain(retryOn: readonly FailureClass[], path: string): void {
  const uncertain = retryOn.find((failureClass) => uncertainClasses.includes(failureClass));
  if (uncertain === undefined) return;
  const limit = `a list of ${certainClasses.join(', ')}: the stage is atMostOnce, and its effect may have happened`;
  throw invalid(path, limit, uncertain);
}

function checkClasses(value: unknown, path: string): void {
  const limit = `a list of ${retryDefaults.retryOn.join(', ')}`;
  if (!Array.isArray(value)) throw invalid(path, limit, value);
  // By its place: a stranger may be undefined, as the hole of a list is.
  const at = value.findIndex((entry) => !failureClasses.includes(entry as FailureClass));
  if (at !== -1) throw invalid(path, limit, value[at]);
}

function invalid(field: string, limit: string, got: unknown): EngineError {
  return new EngineError('RETRY_POLICY_INVALID', `${field} must be ${limit}`, { field, limit, got });
}
