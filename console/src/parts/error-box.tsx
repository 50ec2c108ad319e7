import type { JSX } from 'preact';
import type { ApiError } from '../api/http.ts';
import { Icon } from './icons.tsx';

/** An error of the API: what happened, its code, what helps, and the id to ask the log with. */
export function ErrorBox({
  error,
  onRetry,
}: {
  readonly error: ApiError;
  readonly onRetry?: (() => void) | undefined;
}): JSX.Element {
  return (
    <div class="notice notice-bad" role="alert">
      <Icon name="warning" />
      <div class="grow">
        <p>
          <code>{error.code}</code> {error.message}
        </p>
        {error.hint !== null && <p class="quiet">{error.hint}</p>}
        {error.requestId !== null && (
          <p class="quiet">
            Request <code>{error.requestId}</code>
          </p>
        )}
      </div>
      {onRetry !== undefined && (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}
